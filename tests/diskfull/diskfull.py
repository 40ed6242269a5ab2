#!/usr/bin/env python3
"""A disk that fills up: exit 3, one clear line that names the place, nothing half-written; with room, the same command
finishes with the same bytes.

As root the disk is a small ext4 image on a loop device, filled with ballast that is then removed. Elsewhere
RLIMIT_FSIZE stands in for it (a write beyond it is short, then fails), and the test says so.
"""
import argparse
import contextlib
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "memcap"))
import jobs  # noqa: E402

IMAGE_BYTES = 512 << 20
CLEAR_LINE = re.compile(r"full|space|room|too large|limit", re.IGNORECASE)


class SmallDisk:
    """An ext4 image mounted through a loop device, with `free` bytes left beside a ballast file."""

    def __init__(self, work: pathlib.Path):
        self.mount, self.image = work / "disk", work / "disk.img"
        self.ballast = self.mount / "ballast"

    @staticmethod
    def possible() -> bool:
        return os.geteuid() == 0 and os.path.exists("/dev/loop-control") and shutil.which("mkfs.ext4") is not None

    def __enter__(self):
        self.mount.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(IMAGE_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(self.image)], check=True)
        subprocess.run(["mount", "-o", "loop", str(self.image), str(self.mount)], check=True)
        (self.mount / "lost+found").rmdir()
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", str(self.mount)], check=False)

    def leave_free(self, size: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.ballast.unlink()
        room = os.statvfs(self.mount)
        fill = room.f_bavail * room.f_frsize - size
        with open(self.ballast, "wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, fill)

    def used(self) -> int:
        room = os.statvfs(self.mount)
        return (room.f_blocks - room.f_bfree) * room.f_frsize

    def make_room(self) -> None:
        self.ballast.unlink()


def limit_file_size(size: int):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def run(command, preexec=None):
    return subprocess.run(command, capture_output=True, text=True, timeout=300, preexec_fn=preexec)


def expect_full(done, out: pathlib.Path, place: str) -> None:
    lines = done.stderr.strip().splitlines()
    if done.returncode != 3:
        raise AssertionError(f"exit {done.returncode} instead of 3: {done.stderr}")
    if len(lines) != 1 or not CLEAR_LINE.search(lines[0]) or place not in lines[0]:
        raise AssertionError(f"not one clear line that names {place}: {done.stderr}")
    for name in ("layers.csv", "result.json"):
        if (out / name).exists():
            raise AssertionError(f"{name} is there after a run that failed")
    print(f"  {lines[0]}", flush=True)


def expect_finished(done, out: pathlib.Path, reference: dict[str, bytes]) -> None:
    if done.returncode != 0:
        raise AssertionError(f"with room: exit {done.returncode}: {done.stderr}")
    if difference := jobs.differences(reference, jobs.files(out)):
        raise AssertionError(f"with room: {difference}")


class Suite:
    def __init__(self, options, work: pathlib.Path):
        self.work = work
        jobs.inputs(work / "inputs")
        words = jobs.job(options.job, work / "inputs")
        least = jobs.minimum_memory(str(options.spillway), words, work / "refused", ["--threads", "2", "--states", "ids"])
        self.start = [str(options.spillway), "expand", *words, "--memory", least, "--threads", "2", "--states", "ids",
                      "--checkpoint", "200ms", "--progress", "none", "--out"]
        done = run([*self.start, str(work / "reference")])
        if done.returncode != 0:
            raise AssertionError(f"undisturbed: exit {done.returncode}: {done.stderr}")
        self.reference = jobs.files(work / "reference")

    def output_on_full_disk(self, disk: SmallDisk, free: int) -> None:
        print(f"output and scratch on a disk with {free >> 10} KiB free", flush=True)
        out = disk.mount / "out"
        disk.leave_free(free)
        expect_full(run([*self.start, str(out)]), out, str(disk.mount))
        disk.make_room()
        expect_finished(run([*self.start, str(out)]), out, self.reference)
        shutil.rmtree(out)

    def scratch_on_full_disk(self, disk: SmallDisk, free: int) -> None:
        print(f"only the scratch folder on a disk with {free >> 10} KiB free", flush=True)
        out, scratch = self.work / "out", disk.mount / "scratch"
        scratch.mkdir()
        disk.leave_free(free)
        before = disk.used()
        command = [*self.start, str(out), "--scratch", str(scratch)]
        expect_full(run(command), out, str(disk.mount))
        if disk.used() > before + (64 << 10) or any(scratch.iterdir()):
            raise AssertionError(f"scratch stays behind: {disk.used() - before} bytes, {list(scratch.iterdir())}")
        disk.make_room()
        expect_finished(run(command), out, self.reference)
        shutil.rmtree(out)
        shutil.rmtree(scratch)

    def scratch_limit(self, limit: str) -> None:
        print(f"--scratch-limit {limit}", flush=True)
        out = self.work / "out"
        command = [*self.start, str(out)]
        expect_full(run([*command, "--scratch-limit", limit]), out, "--scratch-limit")
        expect_finished(run(command), out, self.reference)
        shutil.rmtree(out)

    def file_size(self, size: int) -> None:
        print(f"RLIMIT_FSIZE {size >> 10} KiB", flush=True)
        out = self.work / "out"
        done = run([*self.start, str(out)], limit_file_size(size))
        if done.returncode not in (1, 3) or len(done.stderr.strip().splitlines()) != 1:
            raise AssertionError(f"exit {done.returncode}: {done.stderr}")
        expect_finished(run([*self.start, str(out)]), out, self.reference)
        shutil.rmtree(out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spillway", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--work", required=True, type=lambda path: pathlib.Path(path).resolve(), help="a folder on a real disk")
    parser.add_argument("--job", default="pancake10")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="diskfull.", dir=options.work))
    try:
        suite = Suite(options, work)
        suite.scratch_limit("2MiB")
        suite.file_size(256 << 10)
        if SmallDisk.possible():
            with SmallDisk(work) as disk:
                for free in (64 << 10, 1 << 20, 8 << 20):
                    suite.output_on_full_disk(disk, free)
                suite.scratch_on_full_disk(disk, 2 << 20)
        else:
            print("no loop device here: RLIMIT_FSIZE stood in for the full disk")
    except AssertionError as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
