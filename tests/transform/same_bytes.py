#!/usr/bin/env python3
"""`transform apply` writes the same bytes for any memory, any number of threads, and after kill -9.

The output and the rejects of a plain run are the reference. Then: other threads and memory, and runs that are killed
with SIGKILL again and again at random moments (the seed is printed) and continued by the same command. What a killed
run leaves is <out>.spillway/ and nothing else; a finished one leaves nothing but its files.
"""
import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time


def molecules(path, copies):
    """A library of phenols and anilines in which many products meet, with rows that fail."""
    tails = ["", "C", "CC", "OC", "F", "Cl", "Br", "C#N", "C(F)(F)F", "S(C)(=O)=O"]
    cores = ["Oc1ccc({})cc1", "Oc1cc({})ccc1N", "Nc1ccc({})c(O)c1", "O=C(O)c1cc(O)cc({})c1", "Oc1ccc2cc({})ccc2c1"]
    with open(path, "w") as out:
        for copy in range(copies):
            for core in cores:
                for tail in tails:
                    text = core.format(tail) if tail else core.replace("({})", "")
                    out.write("C" * (copy % 37) + text + f" m{copy}\n" if copy % 37 else text + f" m{copy}\n")
            out.write("not_a_molecule\n[2H]Oc1ccccc1 sanitize\n")


class Runs:
    def __init__(self, options, source):
        self.options, self.source = options, source

    def command(self, out, memory, threads, more):
        return [self.options.spillway, "transform", "apply", str(self.source), "--rule", "phenol,halogenation",
                "--out", str(out), "--rejects", str(out) + ".tsv", "--memory", memory, "--threads", str(threads),
                "--progress", "none", *more]

    def finish(self, out, memory, threads, more):
        subprocess.run(self.command(out, memory, threads, more), check=True, stdout=subprocess.DEVNULL, timeout=300)
        assert not pathlib.Path(str(out) + ".spillway").exists(), f"{out}.spillway is left"
        return out.read_bytes(), pathlib.Path(str(out) + ".tsv").read_bytes()

    PHASES = {"start": lambda work, out: (work / "journal").exists(),
              "apply": lambda work, out: (work / "step-1-runs").exists() and not time.sleep(0.03),
              "spill": lambda work, out: any(work.glob("step-1-runs/*")),
              "merge": lambda work, out: any(work.glob("molecules-1*")),
              "second step": lambda work, out: any(work.glob("step-2-runs/*")),
              "write": lambda work, out: (work / "products.partial").exists(),
              "rename": lambda work, out: out.exists()}

    def kill_in(self, phase, out, memory, threads, more):
        """Kills a fresh run as soon as the phase shows in its work folder; False when it ended before."""
        work = pathlib.Path(str(out) + ".spillway")
        process = subprocess.Popen(self.command(out, memory, threads, more), stdout=subprocess.DEVNULL)
        while process.poll() is None and not self.PHASES[phase](work, out):
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        was_killed = process.wait() != 0
        self.only_whole_files(out)
        return was_killed

    def only_whole_files(self, out):
        left = {name.name for name in out.parent.iterdir() if name.name.startswith(out.name)}
        whole = {out.name, out.name + ".tsv", out.name + ".spillway", out.name + ".report.json"}
        assert left <= whole, f"a killed run left {left - whole}"

    def kill_until_done(self, out, memory, threads, more, seconds, rng):
        kills = 0
        while kills < self.options.kills:
            process = subprocess.Popen(self.command(out, memory, threads, more), stdout=subprocess.DEVNULL)
            try:
                process.wait(rng.uniform(0.0, seconds))
                assert process.returncode == 0, process.returncode
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
            self.only_whole_files(out)
        return kills


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spillway", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--copies", type=int, default=60)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    rng = random.Random(options.seed)
    work = options.work / "transform_same_bytes"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    source = work / "in.smi"
    molecules(source, options.copies)
    runs = Runs(options, source)
    for number, more in enumerate(([], ["--steps", "2", "--rule", "phenol"], ["--order", "input"])):
        begin = time.monotonic()
        expected = runs.finish(work / f"plain{number}.parquet", "512MiB", 1, more)
        seconds = time.monotonic() - begin
        for memory, threads in (("72MiB", 2), ("96MiB", 3)):
            got = runs.finish(work / f"other{number}.parquet", memory, threads, more)
            assert got == expected, f"{more} differs with {memory} and {threads} threads"
        out = work / f"killed{number}.parquet"
        kills = runs.kill_until_done(out, "72MiB", 2, more, seconds, rng)
        assert runs.finish(out, "72MiB", 2, more) == expected, f"{more} differs after {kills} kills"
        out = work / f"phases{number}.parquet"
        phases = []
        for phase in runs.PHASES:
            for _ in range(10):  # a busy machine may look too late
                was_seen = runs.kill_in(phase, out, "72MiB", 2, more)
                assert runs.finish(out, "72MiB", 2, more) == expected, f"{more} differs after a kill in {phase}"
                out.unlink()
                if was_seen or phase not in ("apply", "write"):
                    break
            if was_seen:
                phases.append(phase)
        assert {"apply", "write"} <= set(phases), f"only {phases} were seen"
        print(f"{' '.join(more) or 'one step'}: {len(expected[0])} bytes, the same each time; {kills} kills; killed in "
              f"{', '.join(phases)}")
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
