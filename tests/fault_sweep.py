#!/usr/bin/env python3
"""Every call to the system fails once, in every command: the n-th open, read, write, sync, rename, unlink, mkdir, stat,
listing or lock of a small run, for every n.

Never a crash, a hang or an exit 0 with another result; what stands under a final name is whole; and the same command
again ends with the same bytes and leaves nothing else. A run that is continued and fails keeps what it had.

Wants a program built with SPILLWAY_FAULTS (build/asan/spillway, build/dev/spillway). --seconds thins the sweep out, evenly
and from a printed seed; without it all is swept: hours under the sanitizers, minutes without.
"""
import argparse
import dataclasses
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import time

ERRORS = {"open": ["EMFILE", "EACCES"], "read": ["EIO"], "write": ["ENOSPC", "EIO"], "sync": ["EIO"], "rename": ["EIO"],
          "unlink": ["EIO"], "mkdir": ["ENOSPC"], "stat": ["EIO"], "list": ["EIO"], "fallocate": ["EIO"],
          "truncate": ["EIO"], "lock": ["EIO"]}
CODES = {1, 3}
CALLS = re.compile(r"^fault: (\w+) had (\d+) calls$", re.MULTILINE)
SMILES = ["Oc1ccccc1", "Cc1ccc(O)cc1", "CCO", "Oc1ccc(O)cc1", "c1ccccc1", "not smiles", "CC(=O)Oc1ccccc1O"]


@dataclasses.dataclass
class Job:
    name: str
    words: list[str]
    start: pathlib.Path | None = None  # what stands in the folder before


def block(x: int, y: int, z: int, label: int) -> bytes:
    payload = struct.pack("<IIIIQ", 8, 8, 8, 1, label)
    return struct.pack("<iiii", x, y, z, len(payload)) + payload


def info() -> str:
    return """{"@type": "neuroglancer_multiscale_volume", "type": "segmentation", "data_type": "uint64", "num_channels": 1,
 "scales": [{"key": "8_8_8", "size": [512, 256, 256], "resolution": [8, 8, 8], "voxel_offset": [0, 0, 0],
 "chunk_sizes": [[64, 64, 64]], "encoding": "compressed_segmentation", "compressed_segmentation_block_size": [8, 8, 8],
 "sharding": {"@type": "neuroglancer_uint64_sharded_v1", "hash": "identity", "preshift_bits": 1, "minishard_bits": 2,
 "shard_bits": 9, "minishard_index_encoding": "gzip", "data_encoding": "gzip"}}]}"""


class Sweep:
    def __init__(self, spillway: str, work: pathlib.Path, memory: str):
        self.spillway, self.work, self.memory = os.path.abspath(spillway), work, memory
        self.inputs, self.out = work / "inputs", work / "out"
        self.runs = 0
        shutil.rmtree(work, ignore_errors=True)
        self.inputs.mkdir(parents=True)

    def run(self, words: list[str], fault: str = "") -> subprocess.CompletedProcess:
        environment = {key: value for key, value in os.environ.items() if key != "SPILLWAY_FAULT"}
        if fault:
            environment["SPILLWAY_FAULT"] = fault
        self.runs += 1
        return subprocess.run([self.spillway, *words], capture_output=True, text=True, timeout=60, env=environment,
                              stdin=subprocess.DEVNULL)

    def begin(self, job: Job) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        if job.start:
            shutil.copytree(job.start, self.out)
        else:
            self.out.mkdir()

    def files(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.out)): path.read_bytes() for path in sorted(self.out.rglob("*"))
                if path.is_file() and not path.name.endswith("report.json")}  # times

    def jobs(self) -> list[Job]:
        (self.inputs / "a.smi").write_text("\n".join(f"{s} n{i}" for i, s in enumerate(SMILES * 3)) + "\n")
        (self.inputs / "info").write_text(info())
        (self.inputs / "map").write_text("7 70\n9 0\n")
        (self.inputs / "stream").write_bytes(block(3, 1, 2, 7) + block(0, 0, 0, 5) + block(1, 0, 0, 9))
        common = ["--memory", self.memory, "--threads", "2", "--progress", "none"]
        blocks = [str(self.inputs / "stream"), "--spec", str(self.inputs / "info"), "--mapping", str(self.inputs / "map")]
        out = str(self.out)
        jobs = [
            Job("expand", ["expand", "pancake", "6", "--out", out + "/e", "--states", "ids", *common]),
            Job("expand-text", ["expand", "ortho", str(self.inputs / "text"), "--out", out + "/o", *common]),
            Job("export-arrow", ["export", "run", *blocks, "--out", out + "/x", *common]),
            Job("export-precomputed", ["export", "run", *blocks[:3], "--to", "precomputed", "--out", out + "/p", *common]),
        ]
        (self.inputs / "text").write_text("a b c d e f a c e b d f. a d b e c f.\n")
        done = self.run(["export", "run", *blocks, "--out", str(self.inputs / "shards"), *common])
        if done.returncode != 0:
            raise AssertionError(f"the shards to remap could not be made: {done.stderr}")
        jobs.append(Job("export-remap", ["export", "remap", str(self.inputs / "shards"), "--spec",
                                         str(self.inputs / "info"), "--mapping", str(self.inputs / "map"), "--out",
                                         out + "/r", *common]))
        jobs.append(Job("export-verify", ["export", "verify", str(self.inputs / "shards"), "--memory", self.memory]))
        if "transform" in self.run(["--help"]).stdout:
            table = str(self.inputs / "a.parquet")
            apply = ["transform", "apply", str(self.inputs / "a.smi"), "--rule", "phenol"]
            if (made := self.run([*apply, "--out", table, *common])).returncode != 0:
                raise AssertionError(f"the table to merge could not be made: {made.stderr}")
            jobs.append(Job("transform-apply", [*apply, "--rejects", out + "/r.tsv", "--out", out + "/a.parquet", *common]))
            jobs.append(Job("transform-merge", ["transform", "merge", table, table, "--out", out + "/m.parquet", *common]))
        return jobs

    def reference(self, job: Job) -> tuple[dict[str, bytes], str, dict[str, int]]:
        """The files, what is said, and the calls at each site."""
        self.begin(job)
        done = self.run(job.words, "open:1000000000:EIO")
        if done.returncode != 0:
            raise AssertionError(f"{job.name}: fails by itself: {done.stderr}")
        calls = {site: int(count) for site, count in CALLS.findall(done.stderr)}
        if not calls:
            raise AssertionError(f"{self.spillway}: is built without SPILLWAY_FAULTS")
        return self.files(), said(done.stdout), calls

    def continued(self, job: Job, calls: dict[str, int]) -> Job | None:
        """The job over what a run left whose last renames failed; nothing when that leaves nothing."""
        for nth in range(calls["rename"], 0, -1):
            self.begin(job)
            self.run(job.words, f"rename:{nth}:EIO")
            if any(path.name.endswith(".spillway") for path in self.out.rglob("*")):
                start = self.work / f"{job.name}-start"
                shutil.copytree(self.out, start)
                return Job(job.name + "-continued", job.words, start)
        return None

    def check(self, job: Job, fault: str, wanted: dict[str, bytes], told: str) -> str:
        """What is wrong after this fault; "" for nothing."""
        self.begin(job)
        try:
            done = self.run(job.words, fault)
        except subprocess.TimeoutExpired:
            return "hangs"
        failed = re.search(r"^fault: \w+ failed$", done.stderr, re.MULTILINE) is not None
        done.stderr = CALLS.sub("", done.stderr).strip()
        there = self.files()
        if not failed and done.returncode != 0:
            return f"nothing failed, and exit {done.returncode}: {done.stderr[:300]}"
        if done.returncode == 0:
            # What could not be tidied up in a work folder is the next run's to clear.
            results = {name: data for name, data in there.items() if ".spillway/" not in name}
            if results != wanted or said(done.stdout) != told:
                return f"exit 0 with another result: {different(results, wanted) or done.stdout}"
        else:
            if done.returncode not in CODES:
                return f"exit {done.returncode}: {done.stderr[-2000:]}"
            lines = [line for line in done.stderr.splitlines() if not line.startswith("fault:")]
            if not any(line.startswith("spillway: ") for line in lines):
                return f"exit {done.returncode} without a reason: {done.stderr[:300]}"
            for name, data in there.items():
                if ".spillway" not in name and not re.search(r"\.partial(\.\d+)?$", name) and data != wanted.get(name):
                    return f"exit {done.returncode} and {name} is not what it will be; {' '.join(lines)}"
            kept = any(path.name.endswith(".spillway") for path in self.out.rglob("*"))
            if job.start and not kept and there != wanted:
                return f"what was done before is lost; {' '.join(lines)}"
        again = self.run(job.words)
        if again.returncode != 0:
            return f"the same command again: exit {again.returncode}: {again.stderr[:300]}; before it {done.stderr[:200]}"
        if (after := self.files()) != wanted:
            return f"the same command again: {different(after, wanted)}; before it exit {done.returncode}: {done.stderr[:300]}"
        return ""


def said(text: str) -> str:
    """Without figures that differ from run to run."""
    return "\n".join(line for line in text.splitlines() if "memory" not in line and "finished before" not in line)


def different(found: dict[str, bytes], wanted: dict[str, bytes]) -> str:
    names = sorted(set(found) ^ set(wanted)) or [name for name in found if found[name] != wanted[name]]
    return f"differs in {', '.join(names)}" if names else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spillway", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--seconds", type=float, help="stop after this long, the calls taken at random")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--memory", default="4GiB", help="of each run; the sanitizers need much")
    parser.add_argument("--job", action="append", help="only this one")
    parser.add_argument("--site", action="append", help="only this one")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    begin = time.monotonic()
    sweep = Sweep(options.spillway, options.work.absolute() / "fault_sweep", options.memory)
    tasks = []
    for job in sweep.jobs():
        if options.job and not any(job.name == word or word == "all" for word in options.job):
            continue
        _, _, calls = sweep.reference(job)
        for variant in filter(None, (job, sweep.continued(job, calls))):
            wanted, told, calls = sweep.reference(variant)
            print(f"{variant.name}: {sum(calls.values())} calls: {calls}")
            for site, errors in ERRORS.items():
                if not options.site or site in options.site:
                    tasks += [(variant, f"{site}:{nth}:{error}", wanted, told)
                              for nth in range(1, calls.get(site, 0) + 1) for error in errors]
    if options.seconds:
        random.Random(seed).shuffle(tasks)
        print(f"seed {seed}")
    wrong = done = 0
    for job, fault, wanted, told in tasks:
        if options.seconds and time.monotonic() - begin > options.seconds:
            break
        done += 1
        if problem := sweep.check(job, fault, wanted, told):
            wrong += 1
            print(f"WRONG {job.name} {fault}: {problem}\n   {' '.join(job.words)}", flush=True)
    print(f"{done} of {len(tasks)} faults in {time.monotonic() - begin:.0f} s, {wrong} wrong")
    return 1 if wrong or not done else 0


if __name__ == "__main__":
    sys.exit(main())
