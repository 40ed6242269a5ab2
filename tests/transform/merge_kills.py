#!/usr/bin/env python3
"""`transform merge` writes the same bytes after kill -9 in any phase, and goes on from the runs it has sorted.

Files in order of the input have to be sorted: the phases are those of their runs, of the table and of its name. Each is
killed as soon as it shows in the work folder and continued by the same command; then at random moments (the seed is
printed). What a killed merge leaves is <out>.merge.spillway/ and nothing else; a finished one leaves nothing but its files.
"""
import argparse
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time


def molecules(path, first, count):
    tails = ["", "C", "OC", "F", "Cl", "C#N", "C(F)(F)F", "S(C)(=O)=O"]
    with open(path, "w") as out:
        out.write("smiles,note\n")
        for number in range(first, first + count):
            tail = tails[number % len(tails)]
            one, other = "C" * (1 + number // len(tails) % 40), "C" * (1 + number // len(tails) // 40)
            out.write(f"Oc1c({one})c({tail or 'I'})cc({other})c1N,{number} {'wide ' * 140}\n")


class Merges:
    def __init__(self, spillway, inputs):
        self.spillway, self.inputs = spillway, inputs

    def command(self, out):
        return [self.spillway, "transform", "merge", *map(str, self.inputs), "--out", str(out), "--memory", "96MiB",
                "--progress", "none"]

    def finish(self, out):
        subprocess.run(self.command(out), check=True, stdout=subprocess.DEVNULL, timeout=300)
        assert not pathlib.Path(str(out) + ".merge.spillway").exists(), f"{out}.merge.spillway is left"
        return out.read_bytes()

    @staticmethod
    def runs(work, file):
        return len(list(work.glob(f"file-{file}-runs/*")))

    PHASES = {"start": lambda work, out: (work / "journal").exists(),
              "first run": lambda work, out: Merges.runs(work, 1) > 0,
              "third run": lambda work, out: Merges.runs(work, 1) > 2,
              "second file": lambda work, out: Merges.runs(work, 2) > 0,
              "second file's third run": lambda work, out: Merges.runs(work, 2) > 2,
              "write": lambda work, out: (work / "products.partial").exists(),
              "rename": lambda work, out: out.exists()}

    def kill_in(self, phase, out):
        work = pathlib.Path(str(out) + ".merge.spillway")
        process = subprocess.Popen(self.command(out), stdout=subprocess.DEVNULL)
        while process.poll() is None and not self.PHASES[phase](work, out):
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        was_killed = process.wait() != 0
        self.only_whole_files(out)
        return was_killed

    def only_whole_files(self, out):
        left = {name.name for name in out.parent.iterdir() if name.name.startswith(out.name)}
        whole = {out.name, out.name + ".merge.spillway", out.name + ".report.json"}
        assert left <= whole, f"a killed merge left {left - whole}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spillway", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    rng = random.Random(options.seed)
    work = options.work / "transform_merge_kills"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    inputs = []
    for number, order in enumerate(("input", "input", "key")):  # the second has what the first has, and more
        source = work / f"in{number}.csv"
        molecules(source, number * options.rows // 2, options.rows)
        inputs.append(work / f"in{number}.parquet")
        subprocess.run([options.spillway, "transform", "apply", str(source), "--rule", "phenol,amine_aromatic", "--order", order, "--out",
                        str(inputs[-1]), "--carry", "note", "--memory", "256MiB", "--progress", "none"], check=True, stdout=subprocess.DEVNULL)
    merges = Merges(options.spillway, inputs)
    begin = time.monotonic()
    expected = merges.finish(work / "plain.parquet")
    seconds = time.monotonic() - begin
    seen = []
    for phase in Merges.PHASES:
        out = work / f"phase{len(seen)}.parquet"
        for _ in range(10):  # a busy machine may look too late
            was_killed = merges.kill_in(phase, out)
            assert merges.finish(out) == expected, f"other bytes after a kill in {phase}"
            report = json.loads(pathlib.Path(str(out) + ".report.json").read_text())
            out.unlink()
            pathlib.Path(str(out) + ".report.json").unlink()
            if was_killed:
                break
        if was_killed:
            seen.append(phase)
            # With a run, or more, in the journal; a run shows before its line does.
            if phase in ("third run", "second file", "second file's third run", "write", "rename"):
                assert report["job"]["resumed"] is True, f"after a kill in {phase} the merge began anew"
    assert {"third run", "second file", "write"} <= set(seen), f"only {seen} were seen"
    out = work / "killed.parquet"
    kills = 0
    while kills < options.kills:
        process = subprocess.Popen(merges.command(out), stdout=subprocess.DEVNULL)
        try:
            assert process.wait(rng.uniform(0.0, seconds)) == 0
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        merges.only_whole_files(out)
    assert merges.finish(out) == expected, f"other bytes after {kills} kills"
    print(f"{len(expected)} bytes, the same each time; {kills} kills; killed in {', '.join(seen)}")
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
