#!/usr/bin/env python3
"""kill -9 at random moments, again and again; the same command always finishes with the bytes of the undisturbed run.

For each kill: a fresh folder, the job started, killed after a random part of its undisturbed time (sometimes the
resumed run is killed too), then run to the end. Then: exit 0, every file but the report equal, no .spillway, no file
left in the scratch folder, and the disk's space back. The seed is printed; --seed repeats the same moments.
"""
import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "memcap"))
import jobs  # noqa: E402

DEFAULT_JOBS = ("pancake9", "kanban4", "ascp10", "hanoi", "cube2", "pancake10")


class Case:
    """One job: its command, its undisturbed files and how long it takes."""

    def __init__(self, options, name: str, work: pathlib.Path):
        self.name, self.out, self.scratch = name, work / "out", work / "scratch"
        words = jobs.job(name, work / "inputs")
        states = ["--states", options.states]
        least = jobs.minimum_memory(str(options.spillway), words, work / "refused", [*states, "--threads", "2"])
        self.command = [str(options.spillway), "expand", *words, "--out", str(self.out), "--memory", least,
                        "--threads", "2", *states, "--checkpoint", "200ms", "--scratch", str(self.scratch),
                        "--progress", "none"]
        self.fresh()
        start = time.monotonic()
        self.finish()
        self.seconds = time.monotonic() - start
        self.reference = jobs.files(self.out)
        print(f"{name}: {self.seconds:.2f} s undisturbed at --memory {least}", flush=True)

    def fresh(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)

    def kill_after(self, seconds: float) -> bool:
        """True when the process was still running then."""
        process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        try:
            _, said = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return True
        if process.returncode != 0:
            raise AssertionError(f"exit {process.returncode} of a run that was not killed: {said.decode(errors='replace')}")
        return False

    def finish(self) -> None:
        done = subprocess.run(self.command, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise AssertionError(f"exit {done.returncode}: {' '.join(self.command)}\n{done.stderr}")

    def check_visible(self) -> None:
        """After a kill: what stands under a final name is whole, that is, equal to the undisturbed run's file."""
        for name, data in self.reference.items():
            path = self.out / name
            if path.exists() and path.read_bytes() != data:
                raise AssertionError(f"{name} is visible and not whole ({path.stat().st_size} of {len(data)} bytes)")

    def check(self) -> None:
        if difference := jobs.differences(self.reference, jobs.files(self.out)):
            raise AssertionError(difference)
        left = [str(p) for p in self.scratch.rglob("*")] + [str(p) for p in self.out.glob(".*")]
        if left:
            raise AssertionError(f"left behind: {left}")


def one_kill(case: Case, rng: random.Random) -> tuple[int, str]:
    case.fresh()
    kills, moments = 0, []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        seconds = rng.uniform(0.002, max(0.02, case.seconds * 1.05))
        moments.append(f"{seconds:.3f} s")
        if not case.kill_after(seconds):
            break
        kills += 1
        case.check_visible()
    try:
        case.finish()
        case.check()
    except AssertionError as failure:
        raise AssertionError(f"{case.name} killed after {', '.join(moments)}: {failure}") from None
    return kills, ", ".join(moments)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spillway", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--work", required=True, type=lambda path: pathlib.Path(path).resolve(), help="a folder on a real disk")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--states", default="ids")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("jobs", nargs="*")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"--seed {seed}", flush=True)
    rng = random.Random(seed)
    options.work.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="kill_loop.", dir=options.work))
    done, rounds, unlucky = 0, 0, 0
    try:
        jobs.inputs(work / "inputs")
        cases = [Case(options, name, work) for name in options.jobs or DEFAULT_JOBS]
        while done < options.kills:
            case = cases[rounds % len(cases)]
            rounds += 1
            kills, moments = one_kill(case, rng)
            done += kills
            unlucky = 0 if kills else unlucky + 1
            if options.verbose:
                print(f"{done}: {case.name} killed after {moments}", flush=True)
            if unlucky > 50:
                raise AssertionError("50 runs in a row ended before their kill")
    except AssertionError as failure:
        print(f"FAILED (--seed {seed}, after {done} kills): {failure}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{done} kills in {rounds} runs, every one resumed to the same bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
