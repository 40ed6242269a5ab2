#!/usr/bin/env python3
"""The output does not depend on --memory or --threads: every combination gives the same files, within its limit.

Each run is made under a real memory cgroup; the first (256MiB, one thread) is what the others are compared with.
"""
import argparse
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import jobs  # noqa: E402
import memcap  # noqa: E402


def run_once(options, words, work: pathlib.Path, memory: str, threads: int) -> dict[str, bytes]:
    out = work / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = [str(options.spillway), "expand", *words, "--out", str(out), "--memory", memory, "--threads", str(threads),
               "--states", options.states, "--identity", options.identity, "--progress", "none"]
    outcome = memcap.run(command, memcap.parse_size(memory), capture=True, timeout=options.timeout)
    print(f"  --memory {memory} --threads {threads}: {outcome.text()}", flush=True)
    if outcome.exit_code != 0 or not outcome.within:
        raise AssertionError(f"{' '.join(command)}: exit {outcome.exit_code}, {outcome.text()}\n{outcome.stderr.decode()}")
    return jobs.files(out)


def check(options, name: str, work: pathlib.Path) -> None:
    jobs.inputs(work / "inputs")
    words = jobs.job(name, work / "inputs")
    least = jobs.minimum_memory(str(options.spillway), words, work / "refused",
                                ["--states", options.states, "--identity", options.identity])
    print(f"{name} (--states {options.states} --identity {options.identity}), minimum {least}", flush=True)
    reference = None
    for memory in [*reversed(options.memory), "minimum"]:
        for threads in options.threads:
            limit = memory
            if memory == "minimum":  # it may grow with the threads
                limit = jobs.minimum_memory(str(options.spillway), words, work / "refused",
                                            ["--states", options.states, "--identity", options.identity,
                                             "--threads", str(threads)])
            found = run_once(options, words, work, limit, threads)
            reference = reference or found
            if difference := jobs.differences(reference, found):
                raise AssertionError(f"{name} with --memory {limit} --threads {threads}: {difference}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spillway", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--work", required=True, type=lambda path: pathlib.Path(path).resolve(), help="a folder on a real disk")
    parser.add_argument("--states", default="ids")
    parser.add_argument("--identity", default="fp128")
    parser.add_argument("--memory", nargs="+", default=["64MiB", "256MiB"], help="beside the minimum")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--timeout", type=float, default=300)
    parser.add_argument("jobs", nargs="+")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="same_bytes.", dir=options.work))
    try:
        for name in options.jobs:
            check(options, name, work)
    except AssertionError as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
