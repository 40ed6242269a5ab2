#!/usr/bin/env python3
"""`spillway export` at its limits: many shards, huge blocks, few files, a slow or full disk, kills; in 64 MiB, measured in a
memory cgroup. The bytes are the same whatever the memory, the threads and the order.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest
import zlib

import exported
from exported import HERE, numpy, pyarrow, run, tree, volumes, zstandard
import memcap

sys.path.insert(0, str(HERE.parent / "diskfull"))
import diskfull

LIMIT = 64 << 20
RESULTS = re.compile(r".*\.(arrow|csv|shard)|.*/\d+-\d+_\d+-\d+_\d+-\d+")


def fresh(folder: pathlib.Path) -> pathlib.Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_spec(path, grid, preshift, minishard, gzip=False, sharded=True, **more):
    spec = volumes.info([n * 64 for n in grid], preshift, minishard, **more)
    if gzip:
        spec["scales"][0]["sharding"].update(minishard_index_encoding="gzip", data_encoding="gzip")
    if not sharded:
        del spec["scales"][0]["sharding"]
    path.write_text(json.dumps(spec))
    return path


def write_solid(path, grid, seed=1) -> int:
    """A block of one label each, in any order; quick for millions."""
    count = grid[0] * grid[1] * grid[2]
    kind = numpy.dtype([("at", "<i4", 3), ("length", "<i4"), ("counts", "<u4", 4), ("label", "<u8")])
    records = numpy.zeros(count, dtype=kind)
    numbers = numpy.random.default_rng(seed).permutation(count)
    records["at"] = numpy.stack([numbers % grid[0], numbers // grid[0] % grid[1], numbers // (grid[0] * grid[1])], axis=1)
    records["length"] = 24
    records["counts"] = (8, 8, 8, 1)
    records["label"] = numbers + 1
    records.tofile(path)
    return count


def least_memory(words) -> str:
    said = run("run", *words, "--out", exported.WORK / "refused", "--memory", "8MiB", expect=3)
    return re.search(r"needs at least ([0-9.]+ ?[KMG]iB)", said).group(1).replace(" ", "")


def check_whole(out: pathlib.Path, whole: dict) -> int:
    """What stands under a shard's name is the whole shard, and an .arrow has its .csv; returns how many stand there."""
    found = {name: sha for name, sha in tree(out).items() if RESULTS.fullmatch(name) and not name.startswith(".spillway")}
    for name, sha in found.items():
        assert whole.get(name) == sha, f"{name} is visible and not whole"
        if name.endswith(".arrow"):
            assert name.removesuffix(".arrow") + ".csv" in found, f"{name} without its CSV"
    return len(found)


class Capped(unittest.TestCase):
    """Peak RssAnon + RssShmem at --memory 64MiB, with 256 files."""

    @classmethod
    def setUpClass(cls):
        cls.folder = fresh(exported.WORK / cls.__name__)

    def tearDown(self):
        shutil.rmtree(self.folder / "out", ignore_errors=True)

    def capped(self, stream, spec, *more, words=("run",), out=None, enter="/dev/null"):
        out = out or self.folder / "out"
        command = [exported.SPILLWAY, "export", *words, stream, "--spec", spec, "--out", out, "--memory", "64MiB", "--threads",
                   "4", "--progress", "none", *more]
        outcome = memcap.run(["bash", "-c", f'echo $$ >{enter} && ulimit -n 256 && exec "$@"', "-", *map(str, command)], LIMIT, capture=True)
        self.assertEqual(outcome.exit_code, 0, outcome.stderr.decode())
        self.assertTrue(outcome.within, outcome.text())
        print(f"  {self._testMethodName}: peak {memcap.mib(outcome.peak)}, {outcome.seconds:.1f} s", file=sys.stderr)
        return out, json.loads((out / "manifest.json").read_text())


class Shards(Capped):
    def test_a_hundred_thousand_shards(self):
        grid = (50, 50, 40)
        count = write_solid(self.folder / "stream", grid)
        spec = write_spec(self.folder / "info", grid, 0, 0)
        out, manifest = self.capped(self.folder / "stream", spec)
        self.assertEqual(manifest["totals"]["shards"], count)
        self.assertEqual(sum(1 for _ in os.scandir(out / "s0")), 2 * count)


class Many(Capped):
    """104,832 realistic blocks of 24.5 KB in no order, 10^6 pairs: every row against the stream, read by Python alone."""

    def test_shuffled_stream_and_a_million_pairs(self):
        grid = (52, 48, 42)
        if not exported.MAKE_BLOCKS:
            self.skipTest("no --make-blocks")
        subprocess.run([exported.MAKE_BLOCKS, self.folder, "--grid", ",".join(map(str, grid)), "--preshift", "6", "--minishard", "6",
                        "--worst", "20000"], check=True, stdout=subprocess.DEVNULL)
        out, manifest = self.capped(self.folder / "stream", self.folder / "info", "--mapping", self.folder / "map.bin",
                                    "--mapping-format", "binary", "--batch-size", "100")
        pairs = numpy.fromfile(self.folder / "map.bin", "<u8").reshape(-1, 2)
        self.assertGreaterEqual(len(pairs), 1000000)
        bodies = dict(pairs.tolist())
        rows = {}
        for at, payload in volumes.records(self.folder / "stream"):
            block = zlib.decompress(payload, wbits=31)
            table = struct.unpack_from(f"<{struct.unpack_from('<I', block, 12)[0]}Q", block, 16)
            labels = [bodies.get(label, label) for label in table]
            if any(labels):
                rows[at] = hashlib.sha1(struct.pack(f"<{2 * len(table)}Q", *table, *labels) + block).digest()
        totals = manifest["totals"]
        self.assertEqual((totals["blocks_in"], totals["written"]), (grid[0] * grid[1] * grid[2], len(rows)))
        self.assertGreater(totals["shards"], 20)
        unpack = zstandard.ZstdDecompressor()
        for shard in out.glob("s0/*.arrow"):
            last = ()
            for batch in pyarrow.ipc.open_stream(pyarrow.memory_map(str(shard))):
                for row in batch.to_pylist():
                    at = (row["chunk_x"], row["chunk_y"], row["chunk_z"])
                    self.assertLess(last, at[::-1], shard)
                    last = at[::-1]
                    block = unpack.decompress(row["dvid_compressed_block"])
                    table, labels = row["supervoxels"], row["labels"]
                    self.assertEqual(rows.pop(at), hashlib.sha1(struct.pack(f"<{2 * len(table)}Q", *table, *labels) + block).digest(), at)
        self.assertFalse(rows)


class Sizes(Capped):
    def test_a_file_a_chunk(self):
        grid = (30, 30, 20)
        count = write_solid(self.folder / "stream", grid)
        out, manifest = self.capped(self.folder / "stream", write_spec(self.folder / "info", grid, 0, 0, sharded=False),
                                    "--to", "precomputed")
        self.assertEqual(sum(1 for _ in os.scandir(out / "8_8_8")), count)
        self.assertIn("18,000 chunks: all right", run("verify", out, "--memory", "64MiB", progress=False))

    def test_one_shard(self):
        grid = (64, 64, 64)
        count = write_solid(self.folder / "stream", grid)
        spec = write_spec(self.folder / "info", grid, 15, 6)
        for more in (["--batch-size", "1"], ["--batch-size", "5000"], ["--to", "precomputed"]):
            out, manifest = self.capped(self.folder / "stream", spec, *more)
            self.assertEqual((manifest["totals"]["shards"], manifest["shards"][0]["rows"]), (1, count))
            shutil.rmtree(out)

    def test_the_largest_blocks(self):
        worst = bytearray(volumes.encode(numpy.arange(1, 64 ** 3 + 1, dtype=numpy.uint64).reshape(64, 64, 64)))
        self.assertEqual(len(worst), 3441680)
        table = numpy.frombuffer(worst, "<u8", 64 ** 3, 16)
        grid, numbers = (4, 3, 2), random.Random(3).sample(range(24), 24)
        random_ids = numpy.random.default_rng(5)
        with open(self.folder / "stream", "wb") as stream:
            for number in numbers:  # ids that zstd can make nothing of
                table[:] = random_ids.integers(1, 1 << 63, size=64 ** 3, dtype=numpy.uint64)
                stream.write(volumes.record(volumes.at_of(number, grid), bytes(worst)))
        for more, options in ((["--batch-size", "3"], {}), (["--to", "precomputed"], {}),
                              (["--to", "precomputed"], {"gzip": True})):
            spec = write_spec(self.folder / "info", grid, 1, 2, **options)
            out, manifest = self.capped(self.folder / "stream", spec, *more)
            self.assertEqual(manifest["totals"]["written"], 24)
            if not options and "--batch-size" in more:
                self.assertIn("24 rows: all right", run("verify", out, "--memory", "64MiB", progress=False))
                again, _ = self.capped(out, spec, words=("remap",), out=self.folder / "again")
                self.assertEqual({k: v for k, v in tree(again).items() if k.startswith("s0")}.keys(),
                                 {k: v for k, v in tree(out).items() if k.startswith("s0")}.keys())
                shutil.rmtree(again)
            shutil.rmtree(out)

    def test_a_slow_disk(self):
        """Input far faster than the output: 4 MiB/s, each write waited for by the file system."""
        if not diskfull.SmallDisk.possible() or not os.access("/sys/fs/cgroup/blkio/cgroup.procs", os.W_OK):
            self.skipTest("no loop device or no blkio cgroup (v1)")
        grid = (32, 24, 16)
        blocks = volumes.Blocks(seed=9, templates=4, ids=50000)
        kept = {n: volumes.packed(blocks.block(n)) for n in range(200)}
        with open(self.folder / "stream", "wb") as stream:
            for number in volumes.order_of(grid[0] * grid[1] * grid[2], "shuffled"):
                stream.write(volumes.record(volumes.at_of(number, grid), kept[number % 200]))
        spec = write_spec(self.folder / "info", grid, 3, 3)
        with diskfull.SmallDisk(self.folder) as disk, SlowDisk(disk.mount, 4 << 20) as slow:
            start = time.monotonic()
            out, manifest = self.capped(self.folder / "stream", spec, out=disk.mount / "out", enter=slow.procs)
            self.assertEqual(manifest["totals"]["written"], grid[0] * grid[1] * grid[2])
            size = sum(shard["bytes"] for shard in manifest["shards"])
            self.assertGreater(time.monotonic() - start, size / (8 << 20))  # else it was not slow


class SlowDisk:
    """Limits the writes of a cgroup's processes to a mounted loop device; `procs`: where they enter it."""

    def __init__(self, mount: pathlib.Path, bytes_per_second: int):
        self.mount, self.rate = mount, bytes_per_second
        self.group = pathlib.Path(f"/sys/fs/cgroup/blkio/spillway-{os.getpid()}")
        self.procs = self.group / "cgroup.procs"

    def __enter__(self):
        subprocess.run(["mount", "-o", "remount,sync", str(self.mount)], check=True)
        device = os.stat(self.mount).st_dev
        self.group.mkdir()
        (self.group / "blkio.throttle.write_bps_device").write_text(f"{os.major(device)}:{os.minor(device)} {self.rate}")
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.group.rmdir()


class Same(unittest.TestCase):
    def test_whatever_the_memory_the_threads_and_the_order(self):
        folder, grid = fresh(exported.WORK / "same"), (7, 6, 5)
        blocks = volumes.Blocks(seed=21, templates=4, ids=4000, worst_every=60)
        volumes.write_mapping(str(folder / "map"), 4000)
        for order in ("zyx", "shuffled", "reversed"):
            volumes.write_stream(str(folder / order), blocks, grid, order)
        cases = (("arrow", write_spec(folder / "arrow.info", grid, 2, 2, batch_size=3)),
                 ("precomputed", write_spec(folder / "precomputed.info", grid, 2, 2, gzip=True)))
        for to, spec in cases:
            words = [folder / "zyx", "--spec", spec, "--mapping", folder / "map", "--to", to]
            least, first = least_memory(words), None
            for memory in (least, "64MiB", "1GiB"):
                for threads in (1, 2, 4):
                    for order in ("zyx", "shuffled", "reversed"):
                        out = folder / "out"
                        shutil.rmtree(out, ignore_errors=True)
                        run("run", folder / order, *words[1:], "--out", out, "--memory", memory, "--threads", threads)
                        now = tree(out)
                        now.pop("manifest.json")  # names its source
                        shards = json.loads((out / "manifest.json").read_text())["shards"]
                        first = first or (now, shards)
                        self.assertEqual((now, shards), first, (to, memory, threads, order))
            print(f"  {to}: 27 runs, {len(first[0])} files, least {least}", file=sys.stderr)


class Broken(unittest.TestCase):
    """kill -9 and a full disk, at any moment, again and again; then the same command ends with the same bytes.

    960 files: two groups of the publisher.
    """

    @classmethod
    def setUpClass(cls):
        cls.folder = fresh(exported.WORK / "broken")
        cls.grid = (12, 10, 8)
        cls.blocks = volumes.Blocks(seed=31, templates=4, ids=9000, worst_every=300)
        volumes.write_stream(str(cls.folder / "stream"), cls.blocks, cls.grid)
        volumes.write_mapping(str(cls.folder / "map"), 9000)
        cls.kinds = {}
        for name, to, options in (("arrow", "arrow", {}), ("shards", "precomputed", {"gzip": True}),
                                  ("chunks", "precomputed", {"sharded": False})):
            spec = write_spec(cls.folder / f"{name}.info", cls.grid, 0, 0, **options)
            words = [cls.folder / "stream", "--spec", spec, "--mapping", cls.folder / "map", "--to", to, "--threads", 2]
            words += ["--memory", least_memory(words)]  # so that it spills
            start = time.monotonic()
            run("run", *words, "--out", cls.folder / name)
            cls.kinds[name] = (words, tree(cls.folder / name), time.monotonic() - start)

    def ends_well(self, words, out, whole):
        run("run", *words, "--out", out)
        self.assertEqual(tree(out), whole)
        self.assertFalse((out / ".spillway").exists())

    def test_kills(self):
        seed = random.SystemRandom().randrange(1 << 32)
        clock = random.Random(seed)
        for name, (words, whole, seconds) in self.kinds.items():
            out, kills, seen = self.folder / "killed", 0, set()
            for _ in range(4):
                shutil.rmtree(out, ignore_errors=True)
                command = [exported.SPILLWAY, "export", "run", *words, "--out", out, "--progress", "none"]
                for late in clock.choice(((False,), (True,), (True, False), (True, True), (False, True, True))):
                    process = subprocess.Popen([str(w) for w in command], stdout=subprocess.DEVNULL)
                    if late:  # once the first files have their names
                        while process.poll() is None and not any(out.glob("[s8]*/*")):
                            time.sleep(0.002)
                        time.sleep(clock.uniform(0, 0.2))
                    else:
                        time.sleep(clock.uniform(0.01, seconds))
                    process.send_signal(signal.SIGKILL)
                    kills += process.wait() != 0
                    seen.add(check_whole(out, whole) if out.exists() else 0)
                self.ends_well(words, out, whole)
            self.assertGreater(max(seen), 0)
            print(f"  {name}: {kills} kills (seed {seed}), with {sorted(seen)} files visible", file=sys.stderr)

    def test_full_disks(self):
        if not diskfull.SmallDisk.possible():
            self.skipTest("no loop device")
        with diskfull.SmallDisk(self.folder) as disk:
            for name, (words, whole, _) in self.kinds.items():
                out = disk.mount / "out"
                need = sum(p.stat().st_size for p in (self.folder / name).rglob("*") if p.is_file())
                scratch = fresh(self.folder / "scratch")
                seen = []
                for share in (0.02, 0.5, 0.9):
                    for more in ([], ["--scratch", scratch]):
                        disk.leave_free(int(need * share) // 4096 * 4096)
                        said = run("run", *words, "--out", out, *more, expect=3)
                        self.assertEqual(len(said.strip().splitlines()), 1, said)
                        self.assertRegex(said, "full|space|room")
                        seen.append(check_whole(out, whole))
                        disk.make_room()
                        self.ends_well([*words, *more], out, whole)
                        shutil.rmtree(out)
                on_disk = disk.mount / "scratch"
                on_disk.mkdir()
                disk.leave_free(256 << 10)
                out = self.folder / "out"
                said = run("run", *words, "--out", out, "--scratch", on_disk, expect=3)
                self.assertRegex(said, re.escape(str(disk.mount)))
                disk.make_room()
                self.ends_well([*words, "--scratch", on_disk], out, whole)
                shutil.rmtree(out)
                on_disk.rmdir()
                print(f"  {name}: {seen} files visible on a full disk", file=sys.stderr)


if __name__ == "__main__":
    exported.main(__doc__)
