"""The family "export" of run.py: each program alone on one core, all on the same input."""
import json
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv/bin/python"
PEERS = ROOT / "bench/e2e/peers"
CORE = ["taskset", "-c", "0"]
MEMORY = "256MiB"


class ExportJobs:
    def __init__(self, bench, tools):
        self.bench, self.tools = bench, tools  # tools: Outcome, judged, matched, measured of run.py
        self.work = bench.work / "export"
        self.work.mkdir(parents=True, exist_ok=True)

    def data(self, name, *options):
        """A folder made by make_blocks, once."""
        folder, words = self.work / name, " ".join(map(str, options))
        stamp = folder / "options"
        if not stamp.exists() or stamp.read_text() != words:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self.bench.build([self.bench.binary.parent / "tests/make_blocks", folder, *options], self.work)
            stamp.write_text(words)
        return folder

    def info(self, folder, preshift, minishard):
        """Another sharding of the same volume."""
        info = json.loads((folder / "info").read_text())
        sharding = info["scales"][0]["sharding"]
        total = sharding["preshift_bits"] + sharding["minishard_bits"] + sharding["shard_bits"]
        sharding.update(preshift_bits=preshift, minishard_bits=minishard, shard_bits=max(0, total - preshift - minishard))
        path = folder / f"info{preshift}_{minishard}"
        path.write_text(json.dumps(info))
        return path

    def fresh(self, name):
        out = self.work / name
        shutil.rmtree(out, ignore_errors=True)
        return out

    def check(self, *words):
        """The digest that check_export.py prints; what it complains of when it fails."""
        done = subprocess.run([PYTHON, ROOT / "bench/e2e/check_export.py", *map(str, words)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        return done.returncode, (done.stdout.strip().splitlines() or [""])[-1]

    def measure(self, job, who, command, want, pattern, plain="", check=None, same=None, count=None):
        """One run; `check`: words for check_export.py; `same`: the digest that it must find. Returns the digest."""
        tools = self.tools
        seconds, peak, code, output = tools.measured([*CORE, *command], self.work)
        outcome = tools.Outcome(job, who, seconds, peak, count or tools.matched(pattern, output), plain=plain)
        outcome.cpu = tools.measured.cpu
        tools.judged(outcome, code, output, want)
        digest = None
        if check and not outcome.failed:
            status, digest = self.check(*check)
            if status != 0 or (same and digest != same):
                outcome.note = f"another result: {digest}"
        self.bench.add(outcome)
        return digest

    def spillway(self, *words, memory=MEMORY):
        return [self.bench.binary, "export", *words, "--memory", memory, "--threads", 1, "--progress", "none", "--resume", "never"]

    def stream(self, grid):
        count = grid[0] * grid[1] * grid[2]
        data = self.data("shuffled", "--grid", ",".join(map(str, grid)), "--batch", 64)
        stream, info, mapping = data / "stream", data / "info", data / "map.bin"
        mapped = ["--mapping", mapping, "--mapping-format", "binary"]

        job, plain = f"blocks to Arrow, {count:,} shuffled, one core", "plain C++: libdeflate and zstd-3 alone"
        self.measure(job, plain, [self.bench.plain_folder / "plain_export", stream], count, r"blocks (\d+)")
        out = self.fresh("arrow")
        digest = self.measure(job, f"spillway export, {MEMORY}", self.spillway("run", stream, "--spec", info, *mapped, "--out", out),
                              count, r"([\d,]+) written", plain, ("arrow", out, info))
        one = self.fresh("arrow1")
        self.measure(job, f"spillway export, {MEMORY}, one row a batch",
                     self.spillway("run", stream, "--spec", info, *mapped, "--batch-size", 1, "--out", one), count,
                     r"([\d,]+) written", plain, ("arrow", one, info), digest)
        peer = self.fresh("pyarrow")
        script = [PYTHON, PEERS / "export_pyarrow.py"]
        self.measure(job, "pyarrow, zlib, zstandard: order of arrival", [*script, "run", stream, info, mapping, peer], count,
                     r"rows (\d+)", plain, ("arrow", peer, info), digest)
        peer = self.fresh("pyarrow")
        self.measure(job, "pyarrow, zlib, zstandard: gathered for ZYX order",
                     [*script, "run", stream, info, mapping, peer, "--gather"], count, r"rows (\d+)", plain,
                     ("arrow", peer, info), digest)
        shutil.rmtree(peer, ignore_errors=True)

        plain = "pyarrow: remap"
        for batch in (64, 1):
            source = self.fresh("plain")
            self.bench.build(self.spillway("run", stream, "--spec", info, "--batch-size", batch, "--out", source), self.work)
            job = f"remap, {count:,} blocks, {batch} a batch, one core"
            peer = self.fresh("pyarrow")
            self.measure(job, plain, [*script, "remap", source, mapping, peer], count, r"rows (\d+)", "",
                         ("arrow", peer, info), digest)
            out2 = self.fresh("remapped")
            self.measure(job, f"spillway remap, {MEMORY}",
                         self.spillway("remap", source, *mapped, "--batch-size", batch, "--out", out2), count,
                         r"([\d,]+) written", plain, ("arrow", out2, info), digest)
            self.same_files(job, out if batch == 64 else one, out2)
        for name in ("pyarrow", "plain", "remapped", "arrow1"):
            self.fresh(name)

        for bits, text in (((6, 3), "512 chunks a shard"), ((9, 6), "32,768 chunks a shard")):
            job = f"blocks to compressed_segmentation, {count:,} shuffled, {text}, one core"
            spec, out3 = self.info(data, *bits), self.fresh("precomputed")
            self.measure(job, f"spillway export, {MEMORY}",
                         self.spillway("run", stream, "--spec", spec, *mapped, "--to", "precomputed", "--out", out3), count,
                         r"([\d,]+) written", "", ("precomputed", out3, out))
            self.fresh("precomputed")
        self.fresh("arrow")

    def same_files(self, job, want, got):
        """run --mapping M and run + remap --mapping M give the same bytes."""
        done = subprocess.run(["diff", "-rq", want / "s0", got / "s0"], stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            outcome = self.tools.Outcome(job, "spillway remap and run: the same bytes")
            outcome.note = (done.stdout.splitlines() or ["different"])[0]
            self.bench.add(outcome)

    def volume(self, grid, tensorstore):
        count = grid[0] * grid[1] * grid[2]
        data = self.data("volume", "--grid", ",".join(map(str, grid)), "--npy", "--preshift", 3, "--minishard", 3)
        job, volume, info = f".npy to compressed_segmentation, {count:,} blocks, one core", data / "volume.npy", data / "info"
        plain = "cloud-volume make_shard"
        for who, name in ((plain, "cloud-volume"), ("tensorstore", "tensorstore")):
            if name == "tensorstore" and not tensorstore:
                continue
            out = self.fresh(name)
            self.measure(job, who, [PYTHON, PEERS / "export_precomputed.py", name, volume, info, out], count,
                         r"chunks (\d+)", "", ("volume", out, volume))
            shutil.rmtree(out, ignore_errors=True)
        out = self.fresh("precomputed")
        self.measure(job, f"spillway export, {MEMORY}",
                     self.spillway("run", volume, "--spec", info, "--to", "precomputed", "--out", out), count,
                     r"([\d,]+) written", plain, ("volume", out, volume))
        self.fresh("precomputed")
