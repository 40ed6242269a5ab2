#!/usr/bin/env python3
"""Runs a command under a hard memory limit and checks what it really held.

The command runs in a memory cgroup of its own (v2, else v1) of 1.10 times the limit, so that a process that goes far
over is killed by the kernel; RLIMIT_DATA stands in only where no memory cgroup is writable, and the report says so.
Every 10 ms the RssAnon + RssShmem of all its processes is summed; the greatest sum must be at most the limit.

As a command:  memcap.py --limit 64MiB [--json FILE] -- CMD ARGS...
               exit code: the command's own, or 97 when the peak is above the limit, 137 when it was killed for memory.
As a module:   run(command, limit) -> Outcome. Standard library only.
"""
import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import threading
import time

SAMPLE_SECONDS = 0.010
SLACK = 1.10
ADDRESSES_ONLY = 512 << 20  # RLIMIT_DATA counts what is mapped: stacks and reservations as well as what is held
OVER_LIMIT_EXIT = 97
UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def parse_size(text: str) -> int:
    match = re.fullmatch(r"([0-9.]+)\s*([KMGT]iB|B|)", text.strip())
    if not match:
        raise ValueError(f"not a size: {text!r} (write 64MiB, 1GiB)")
    return int(float(match.group(1)) * UNITS[match.group(2)])


def mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"


@dataclasses.dataclass
class Outcome:
    exit_code: int        # as the shell has it: 128 + signal when killed
    peak: int             # greatest sampled RssAnon + RssShmem of the whole tree, in bytes
    limit: int
    method: str           # "cgroup v2", "cgroup v1", "RLIMIT_DATA" or "none"
    oom_killed: bool
    samples: int
    seconds: float
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def within(self) -> bool:
        return self.peak <= self.limit and not self.oom_killed

    def text(self) -> str:
        verdict = "within" if self.within else "ABOVE"
        killed = ", killed for memory" if self.oom_killed else ""
        return (f"memcap: {self.method}, peak {mib(self.peak)} {verdict} the limit of {mib(self.limit)}, "
                f"{self.samples} samples in {self.seconds:.1f} s{killed}")


class Cgroup:
    """A fresh memory cgroup below ours. create() gives None where none can be made."""

    def __init__(self, path: pathlib.Path, version: int):
        self.path, self.version = path, version

    @classmethod
    def create(cls, limit: int):
        for version, parent in cls.parents():
            path = parent / f"memcap-{os.getpid()}-{threading.get_native_id()}-{time.monotonic_ns()}"
            try:
                if version == 2 and "memory" not in (parent / "cgroup.subtree_control").read_text().split():
                    (parent / "cgroup.subtree_control").write_text("+memory")
                path.mkdir()
            except OSError:
                continue
            group = cls(path, version)
            try:
                group.set_limit(limit)
                return group
            except OSError:
                group.remove()
        return None

    @staticmethod
    def parents():
        """Where a child group might be made: our own group, then the groups above it."""
        mounts = {}
        for line in pathlib.Path("/proc/mounts").read_text().splitlines():
            _, where, kind, flags = line.split()[:4]
            if kind == "cgroup2":
                mounts.setdefault(2, pathlib.Path(where))
            elif kind == "cgroup" and "memory" in flags.split(","):
                mounts.setdefault(1, pathlib.Path(where))
        own = {}
        for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
            number, controllers, where = line.split(":", 2)
            if number == "0":
                own[2] = where
            elif "memory" in controllers.split(","):
                own[1] = where
        for version in (2, 1):
            if version not in mounts:
                continue
            root = mounts[version]
            here = root / own.get(version, "/").lstrip("/")
            for folder in (here, *here.parents):
                if folder.is_dir() and (folder == root or root in folder.parents):
                    if version == 1 or "memory" in (folder / "cgroup.controllers").read_text().split():
                        yield version, folder

    def set_limit(self, limit: int) -> None:
        if self.version == 2:
            (self.path / "memory.max").write_text(str(limit))
            with contextlib.suppress(OSError):
                (self.path / "memory.swap.max").write_text("0")
        else:
            (self.path / "memory.limit_in_bytes").write_text(str(limit))
            with contextlib.suppress(OSError):
                (self.path / "memory.memsw.limit_in_bytes").write_text(str(limit))

    def enter(self) -> None:
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def pids(self) -> list[int]:
        try:
            return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]
        except OSError:
            return []

    def oom_kills(self) -> int:
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        with contextlib.suppress(OSError):
            for line in (self.path / name).read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        return 0

    def remove(self) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for _ in range(200):
            try:
                self.path.rmdir()
                return
            except OSError:
                time.sleep(0.01)


def children_of(root: int) -> list[int]:
    """`root` and all below it, from /proc: for where there is no cgroup to ask."""
    found, rest = [], [root]
    while rest:
        pid = rest.pop()
        found.append(pid)
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                rest += [int(child) for child in task.read_text().split()]
    return found


def held_by(pid: int) -> int:
    """RssAnon + RssShmem of one process in bytes; 0 once it is gone."""
    total = 0
    try:
        with open(f"/proc/{pid}/status", "rb") as status:
            for line in status:
                if line.startswith((b"RssAnon:", b"RssShmem:")):
                    total += int(line.split()[1]) << 10
    except OSError:
        pass
    return total


class Sampler(threading.Thread):
    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.peak, self.samples = pids, 0, 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            self.peak = max(self.peak, sum(held_by(pid) for pid in self.pids()))
            self.samples += 1
            self.done.wait(SAMPLE_SECONDS)


def run(command, limit: int, *, timeout: float | None = None, capture: bool = False, env=None, cwd=None,
        kill_after: float | None = None) -> Outcome:
    """Runs `command` (a list) to its end; kill_after: SIGKILL to its whole group after so many seconds."""
    cap = int(limit * SLACK)
    group = Cgroup.create(cap)

    def enter():
        if group:
            group.enter()
        else:  # stacks are kept small: a mapping counts whether or not it is used
            resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, 1 << 20))
            resource.setrlimit(resource.RLIMIT_DATA, (cap + ADDRESSES_ONLY,) * 2)

    start = time.monotonic()
    pipe = subprocess.PIPE if capture else None
    try:
        process = subprocess.Popen(command, preexec_fn=enter, start_new_session=True, stdout=pipe, stderr=pipe, env=env,
                                   cwd=cwd)
        sampler = Sampler(group.pids if group else lambda: children_of(process.pid))
        sampler.start()
        out = err = b""
        try:
            out, err = process.communicate(timeout=kill_after if kill_after is not None else timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            if kill_after is None:
                err = (err or b"") + f"\nmemcap: timed out after {timeout} s\n".encode()
        sampler.done.set()
        sampler.join()
        code = process.returncode
        return Outcome(exit_code=code if code >= 0 else 128 - code, peak=sampler.peak, limit=limit,
                       method=f"cgroup v{group.version}" if group else "RLIMIT_DATA",
                       oom_killed=bool(group and group.oom_kills()), samples=sampler.samples,
                       seconds=time.monotonic() - start, stdout=out or b"", stderr=err or b"")
    finally:
        if group:
            group.remove()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", required=True, type=parse_size, help="64MiB, 1GiB")
    parser.add_argument("--json", type=pathlib.Path, help="write what was measured here")
    parser.add_argument("--timeout", type=float)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("no command: memcap.py --limit 64MiB -- CMD ARGS...")
    outcome = run(command, options.limit, timeout=options.timeout)
    print(outcome.text(), file=sys.stderr)
    if options.json:
        figures = {k: v for k, v in dataclasses.asdict(outcome).items() if k not in ("stdout", "stderr")}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    if outcome.oom_killed:
        return 137
    return outcome.exit_code if outcome.within else OVER_LIMIT_EXIT


if __name__ == "__main__":
    sys.exit(main())
