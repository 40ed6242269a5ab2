#!/usr/bin/env python3
"""`spillway export` against independent readers: pyarrow for Arrow shards, tensorstore and cloud-volume for precomputed.

Needs the Python of the project's own environment (pyarrow, numpy; tensorstore and cloud-volume where they are installed).
"""
import collections
import csv
import gzip
import hashlib
import json
import pathlib
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest

import exported
from exported import numpy, pyarrow, read_shard, run, run_spec, tree, volumes, zstandard
import memcap  # noqa: E402

GRID = (8, 7, 6)


class Arrow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = exported.WORK / "arrow"
        shutil.rmtree(cls.folder, ignore_errors=True)
        cls.folder.mkdir(parents=True)
        cls.blocks = volumes.Blocks(seed=5, templates=6, ids=20000, worst_every=150)
        cls.spec = cls.folder / "info"
        cls.spec.write_text(json.dumps(volumes.info([n * 64 - 5 for n in GRID], preshift=2, minishard=2)))
        cls.bodies = volumes.write_mapping(str(cls.folder / "map.txt"), 20000)
        volumes.write_mapping(str(cls.folder / "map.bin"), 20000, text=False)
        volumes.write_mapping(str(cls.folder / "map.txt.gz"), 20000)
        import pyarrow.parquet
        pyarrow.parquet.write_table(pyarrow.table({"supervoxel": numpy.arange(1, 20001, dtype=numpy.uint64),
                                                   "body": cls.bodies[1:]}), cls.folder / "map.parquet")
        for order in ("zyx", "shuffled", "reversed"):
            volumes.write_stream(str(cls.folder / order), cls.blocks, GRID, order)

    def export(self, name, *more, source="shuffled", mapping="map.txt", **options):
        out = self.folder / name
        shutil.rmtree(out, ignore_errors=True)
        text = run("run", self.folder / source, "--spec", self.spec, "--mapping", self.folder / mapping, "--out", out,
                   *more, **options)
        return out, text

    def test_pyarrow_reads_every_block_equal(self):
        for batch in (1, 5):
            out, _ = self.export(f"read{batch}", "--memory", "64MiB", "--batch-size", batch)
            met = collections.Counter()
            for path in out.glob("s0/*.arrow"):
                rows = read_shard(path)
                keys = [(r["chunk_z"], r["chunk_y"], r["chunk_x"]) for r in rows]
                self.assertEqual(keys, sorted(keys))
                corner = tuple(int(n) // 64 for n in path.stem.split("_"))
                for row in rows:
                    at = (row["chunk_x"], row["chunk_y"], row["chunk_z"])
                    self.assertTrue(all(c <= a < c + w for c, a, w in zip(corner, at, (4, 2, 2))), (corner, at))
                    number = (at[2] * GRID[1] + at[1]) * GRID[0] + at[0]
                    block = self.blocks.block(number)
                    frame = row["dvid_compressed_block"]
                    self.assertEqual(zstandard.ZstdDecompressor().decompress(frame), block)
                    self.assertEqual(zstandard.get_frame_parameters(frame).content_size, len(block))
                    self.assertTrue(zstandard.get_frame_parameters(frame).has_checksum)
                    self.assertEqual(row["uncompressed_size"], len(block))
                    labels = numpy.frombuffer(block, "<u8", struct.unpack_from("<I", block, 12)[0], 16)
                    self.assertEqual(row["supervoxels"], labels.tolist())
                    mapped = [int(self.bodies[i]) if i <= 20000 else int(i) for i in labels]
                    self.assertEqual(row["labels"], mapped)
                    met[at] += 1
            self.assertEqual(len(met), GRID[0] * GRID[1] * GRID[2])
            self.assertEqual(set(met.values()), {1})
            manifest = json.loads((out / "manifest.json").read_text())
            for shard in manifest["shards"]:
                data = (out / shard["file"]).read_bytes()
                self.assertEqual(hashlib.sha256(data).hexdigest(), shard["sha256"])
                self.assertEqual(len(data), shard["bytes"])
                rest = (out / shard["file"]).with_suffix(".csv").read_bytes()
                self.assertEqual(hashlib.sha256(rest).hexdigest(), shard["csv_sha256"])
            self.assertFalse((out / ".spillway").exists())

    def test_same_bytes_whatever_memory_threads_order_and_mapping_format(self):
        first = None
        text = run("run", self.folder / "zyx", "--spec", self.spec, "--mapping", self.folder / "map.txt", "--out",
                   self.folder / "small", "--memory", "16MiB", expect=3)
        least = text.split("needs at least ")[1].split(":")[0].replace(" ", "")
        cases = [(least, 1, "shuffled", "map.txt"), (least, 4, "zyx", "map.bin"), ("64MiB", 1, "reversed", "map.parquet"),
                 ("64MiB", 4, "shuffled", "map.txt.gz"), ("1GiB", 2, "zyx", "map.txt")]
        for memory, threads, order, mapping in cases:
            more = ["--mapping-format", "binary"] if mapping.endswith(".bin") else []
            out, _ = self.export("same", "--memory", memory, "--threads", threads, *more, source=order, mapping=mapping)
            now = {k: v for k, v in tree(out).items() if k != "manifest.json"}
            first = first or now
            self.assertEqual(now, first, (memory, threads, order, mapping))

    def test_bad_blocks_stop_the_run_or_are_rejected(self):
        good = volumes.packed(self.blocks.block(1))
        plain = self.blocks.block(2)
        cases = [((0, 0, 0), good[:-9] + bytes(9)), ((1, 0, 0), plain[:-1]), ((2, 0, 0), good + b"x"),
                 ((8, 0, 0), good), ((-1, 0, 0), good), ((3, 0, 0), b""), ((4, 0, 0), good + good)]
        for at, payload in cases:
            (self.folder / "bad").write_bytes(volumes.record((0, 1, 0), good) + volumes.record(at, payload))
            text = self.export("bad.out", "--memory", "64MiB", source="bad", expect=1)[1]
            self.assertIn("block %d,%d,%d at byte %d" % (*at, 16 + len(good)), text)
        with open(self.folder / "bad", "wb") as out:
            out.write(volumes.record((0, 1, 0), good))
            for at, payload in cases:
                out.write(volumes.record(at, payload))
        out, text = self.export("rejects", "--memory", "64MiB", "--on-error", "reject", source="bad")
        self.assertIn("8 blocks in: 1 written, 0 empty, 7 rejected", text)
        rows = list(csv.DictReader((out / "rejects.csv").read_text().splitlines()))
        self.assertEqual([(int(r["x"]), int(r["y"]), int(r["z"])) for r in rows], [at for at, _ in cases])
        for tail, word in ((struct.pack("<iiii", 1, 2, 3, -4), "a length of -4"), (b"abc", "header"),
                           (struct.pack("<iiii", 1, 2, 3, 5) + b"abc", "3 of the 5"),
                           (struct.pack("<iiii", 1, 2, 3, 4_000_000), "4000000")):
            (self.folder / "bad").write_bytes(volumes.record((0, 1, 0), good) + tail)
            text = self.export("bad.out", "--memory", "64MiB", "--on-error", "reject", source="bad", expect=1)[1]
            self.assertIn(f"record at byte {16 + len(good)}", text)
            self.assertIn(word, text)

    def test_duplicates_and_empty_blocks(self):
        one, two = self.blocks.block(1), self.blocks.block(2)
        zero = next(i for i in range(1, 20001) if self.bodies[i] == 0)
        empty = struct.pack("<IIIIQ", 8, 8, 8, 1, zero)
        solid = struct.pack("<IIIIQ", 8, 8, 8, 1, 30000)
        records = [((0, 0, 0), one), ((1, 0, 0), empty), ((0, 0, 0), one), ((2, 0, 0), solid), ((1, 0, 0), empty)]
        (self.folder / "dup").write_bytes(b"".join(volumes.record(a, p) for a, p in records))
        text = self.export("dup.out", "--memory", "64MiB", source="dup")[1]
        self.assertIn("5 blocks in: 2 written, 1 empty, 0 rejected, 2 duplicates", text)
        text = self.export("dup.out", "--memory", "64MiB", "--keep-empty", source="dup")[1]
        self.assertIn("5 blocks in: 3 written, 0 empty, 0 rejected, 2 duplicates", text)
        (self.folder / "dup").write_bytes(b"".join(volumes.record(a, p) for a, p in [*records, ((0, 0, 0), two)]))
        text = self.export("dup.out", "--memory", "64MiB", source="dup", expect=1)[1]
        self.assertIn("block 0,0,0 comes twice", text)
        for which, wanted in (("first", one), ("last", two)):
            out, _ = self.export("dup.out", "--memory", "64MiB", "--on-duplicate", which, source="dup")
            row = read_shard(out / "s0" / "0_0_0.arrow")[0]
            self.assertEqual(zstandard.ZstdDecompressor().decompress(row["dvid_compressed_block"]), wanted)

    def test_killed_runs_end_with_the_same_bytes(self):
        out, _ = self.export("whole", "--memory", "64MiB")
        whole = tree(out)
        clock = random.Random(4)
        killed = self.folder / "killed"
        shutil.rmtree(killed, ignore_errors=True)
        words = [exported.SPILLWAY, "export", "run", self.folder / "shuffled", "--spec", self.spec, "--mapping",
                 self.folder / "map.txt", "--out", killed, "--memory", "64MiB", "--progress", "none"]
        for _ in range(12):
            process = subprocess.Popen([str(w) for w in words], stdout=subprocess.DEVNULL)
            time.sleep(clock.uniform(0.01, 0.6))
            process.send_signal(signal.SIGKILL)
            process.wait()
            for path in killed.glob("s0/*.arrow"):
                self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), whole[f"s0/{path.name}"])
                self.assertTrue(path.with_suffix(".csv").exists())
        subprocess.run([str(w) for w in words], check=True, stdout=subprocess.DEVNULL)
        self.assertEqual(tree(killed), whole)
        self.assertFalse((killed / ".spillway").exists())

    def test_a_full_disk_is_an_error_and_the_same_command_goes_on(self):
        out, _ = self.export("whole2", "--memory", "64MiB")
        full = self.folder / "full"
        shutil.rmtree(full, ignore_errors=True)
        words = ["run", self.folder / "shuffled", "--spec", self.spec, "--mapping", self.folder / "map.txt", "--out", full,
                 "--memory", "64MiB"]
        text = run(*words, "--scratch-limit", "100KiB", expect=3)
        self.assertIn("--scratch-limit", text)
        run(*words)
        self.assertEqual(tree(full), tree(out))

    def test_memory_stays_under_the_limit_with_256_files(self):
        grid = (40, 25, 20)
        folder = self.folder / "many"
        folder.mkdir(exist_ok=True)
        solid = [struct.pack("<IIIIQ", 8, 8, 8, 1, i + 1) for i in range(grid[0] * grid[1] * grid[2])]
        with open(folder / "stream", "wb") as stream:
            for number in volumes.order_of(len(solid), "shuffled"):
                payload = self.blocks.worst if number % 1000 == 7 else solid[number]
                stream.write(volumes.record(volumes.at_of(number, grid), payload))
        for name, preshift, minishard, shards in (("every block a shard", 0, 0, len(solid)), ("one shard", 30, 24, 1)):
            (folder / "info").write_text(json.dumps(volumes.info([n * 64 for n in grid], preshift, minishard)))
            out = folder / "out"
            shutil.rmtree(out, ignore_errors=True)
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            outcome = memcap.run([exported.SPILLWAY, "export", "run", str(folder / "stream"), "--spec", str(folder / "info"), "--out",
                                  str(out), "--memory", "64MiB", "--threads", "2", "--progress", "none"], 64 << 20)
            self.assertEqual(outcome.exit_code, 0, (name, outcome))
            self.assertLessEqual(outcome.peak, 64 << 20, name)
            self.assertEqual(json.loads((out / "manifest.json").read_text())["totals"]["shards"], shards)
            print(f"  {name}: peak {outcome.peak >> 20} MiB", file=sys.stderr)

    def test_murmur_is_refused_for_arrow(self):
        (self.folder / "murmur").write_text(json.dumps(volumes.info([512] * 3, hash="murmurhash3_x86_128")))
        text = run("run", self.folder / "zyx", "--spec", self.folder / "murmur", "--out", self.folder / "m", expect=2)
        self.assertIn("scales[0]", text)


class Precomputed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = exported.WORK / "precomputed"
        shutil.rmtree(cls.folder, ignore_errors=True)
        cls.folder.mkdir(parents=True)
        cls.blocks = volumes.Blocks(seed=6, templates=4, ids=5000)
        cls.bodies = volumes.write_mapping(str(cls.folder / "map.txt"), 5000)
        cls.grid = (4, 3, 2)
        cls.size = (4 * 64 - 10, 3 * 64 - 1, 2 * 64 - 33)
        cls.offset = (64, 0, -128)
        voxels = numpy.zeros(tuple(n * 64 for n in reversed(cls.grid)), dtype=numpy.uint64)
        with open(cls.folder / "stream", "wb") as stream:
            for number in volumes.order_of(24, "shuffled"):
                x, y, z = volumes.at_of(number, cls.grid)
                block = cls.blocks.block(number)
                voxels[z * 64:z * 64 + 64, y * 64:y * 64 + 64, x * 64:x * 64 + 64] = volumes.decode(block)
                at = (x + 1, y, z - 2)
                stream.write(volumes.record(at, volumes.packed(block)))
        x, y, z = cls.size
        cls.voxels = cls.bodies[voxels[:z, :y, :x].astype(numpy.int64)].transpose(2, 1, 0)

    def kinds(self):
        for hash in ("identity", "murmurhash3_x86_128"):
            for encoding in ("raw", "gzip"):
                spec = volumes.info(self.size, 1, 2, 3, self.offset, hash)
                spec["scales"][0]["sharding"].update(minishard_index_encoding=encoding, data_encoding=encoding)
                yield f"{hash[:3]}_{encoding}", spec
        spec = volumes.info(self.size, offset=self.offset)
        del spec["scales"][0]["sharding"]
        yield "files", spec

    def outputs(self):
        for name, spec in self.kinds():
            out = self.folder / name
            if not out.exists():
                (self.folder / "info").write_text(json.dumps({**spec, "batch_size": 4}))
                run("run", self.folder / "stream", "--spec", self.folder / "info", "--mapping", self.folder / "map.txt",
                    "--out", out, "--to", "precomputed", "--memory", "64MiB")
            self.assertNotIn("batch_size", json.loads((out / "info").read_text()))
            yield name, out

    def test_same_bytes_whatever_threads_and_true_hashes(self):
        for name, out in self.outputs():
            manifest = json.loads((out / "manifest.json").read_text())
            for shard in manifest["shards"]:
                self.assertEqual(hashlib.sha256((out / shard["file"]).read_bytes()).hexdigest(), shard["sha256"])
            spec = next(spec for kind, spec in self.kinds() if kind == name)
            (self.folder / "info").write_text(json.dumps({**spec, "batch_size": 4}))
            again = self.folder / "again"
            shutil.rmtree(again, ignore_errors=True)
            run("run", self.folder / "stream", "--spec", self.folder / "info", "--mapping", self.folder / "map.txt",
                "--out", again, "--to", "precomputed", "--memory", "128MiB", "--threads", 3)
            self.assertEqual(tree(again), tree(out), name)

    def test_tensorstore_reads_every_voxel_equal(self):
        try:
            import tensorstore
        except ImportError:
            self.skipTest("no tensorstore")
        for name, out in self.outputs():
            store = tensorstore.open({"driver": "neuroglancer_precomputed",
                                      "kvstore": {"driver": "file", "path": str(out)}}).result()
            got = store.read().result()[..., 0]
            self.assertEqual(got.shape, self.voxels.shape, name)
            self.assertTrue((got == self.voxels).all(), name)

    def test_cloud_volume_reads_every_voxel_equal(self):
        try:
            import cloudvolume
        except ImportError:
            self.skipTest("no cloud-volume")
        for name, out in self.outputs():
            volume = cloudvolume.CloudVolume(f"file://{out}", progress=False, fill_missing=True)
            got = numpy.asarray(volume[volume.bounds])[..., 0]
            self.assertTrue((got == self.voxels).all(), name)


ATLASES = pathlib.Path("/usr/share/mricron/templates")  # Debian's mricron-data


class Volumes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = exported.WORK / "volumes"
        shutil.rmtree(cls.folder, ignore_errors=True)
        cls.folder.mkdir(parents=True)

    def voxels_of_shards(self, out, shape):
        return exported.voxels_of_shards(out / "s0", shape)

    def check(self, source, zyx, *more):
        """`source` to Arrow and precomputed; every voxel must come back."""
        (self.folder / "info").write_text(run_spec(source, *more))
        for to in ("arrow", "precomputed"):
            out = self.folder / "out"
            shutil.rmtree(out, ignore_errors=True)
            run("run", source, "--spec", self.folder / "info", "--out", out, "--to", to, "--memory", "128MiB", *more)
            if to == "arrow":
                self.assertTrue((self.voxels_of_shards(out, zyx.shape) == zyx).all())
                run("verify", out, progress=False)
                continue
            try:
                import tensorstore
                got = tensorstore.open({"driver": "neuroglancer_precomputed",
                                        "kvstore": {"driver": "file", "path": str(out)}}).result().read().result()
                self.assertTrue((numpy.asarray(got)[..., 0].transpose(2, 1, 0) == zyx).all())
            except ImportError:
                pass
            try:
                import cloudvolume
                volume = cloudvolume.CloudVolume(f"file://{out}", progress=False, fill_missing=True)
                self.assertTrue((numpy.asarray(volume[volume.bounds])[..., 0].transpose(2, 1, 0) == zyx).all())
            except ImportError:
                pass

    def test_npy_and_raw_of_every_type_and_order(self):
        make = numpy.random.default_rng(3)
        small = make.integers(0, 200, size=(9, 8, 7))
        zyx = numpy.repeat(numpy.repeat(numpy.repeat(small, 9, 0), 11, 1), 13, 2)  # 81 x 88 x 91
        for number, dtype in enumerate(("u1", "<u2", "<u4", "<u8")):
            order = "F" if number % 2 else "C"
            numpy.save(self.folder / "a.npy", numpy.asarray(zyx.astype(dtype), order=order))
            self.check(self.folder / "a.npy", zyx)
        numpy.save(self.folder / "a.npy", numpy.ascontiguousarray(zyx.transpose(2, 1, 0).astype("<u2")))
        self.check(self.folder / "a.npy", zyx, "--axes", "xyz")
        zyx.astype("<u4").tofile(self.folder / "a.raw")
        self.check(self.folder / "a.raw", zyx, "--shape", "91,88,81", "--dtype", "uint32")
        numpy.save(self.folder / "a.npy", zyx.astype("<f4"))
        run("spec", self.folder / "a.npy", expect=1, progress=False)

    def test_brain_atlases_equal_nibabel(self):
        try:
            import nibabel
        except ImportError:
            self.skipTest("no nibabel")
        if not ATLASES.is_dir():
            self.skipTest("no mricron-data")
        for name in ("aal", "HarvardOxford-cort-maxprob-thr0-1mm", "brodmann", "inia19-NeuroMaps"):
            path = ATLASES / f"{name}.nii.gz"
            xyz = numpy.asarray(nibabel.load(path).dataobj)
            self.check(path, numpy.ascontiguousarray(xyz.transpose(2, 1, 0)).astype(numpy.uint64))

    def test_remap_equals_run_with_the_mapping(self):
        blocks = volumes.Blocks(seed=8, templates=4, ids=3000, worst_every=40)
        grid = (5, 4, 3)
        volumes.write_stream(str(self.folder / "stream"), blocks, grid)
        volumes.write_mapping(str(self.folder / "map"), 3000)
        (self.folder / "info").write_text(json.dumps(volumes.info([n * 64 for n in grid], 2, 2, batch_size=3)))
        words = ["--spec", self.folder / "info", "--memory", "64MiB"]
        for name in ("plain", "direct", "remapped"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        run("run", self.folder / "stream", *words, "--out", self.folder / "plain")
        run("run", self.folder / "stream", *words, "--out", self.folder / "direct", "--mapping", self.folder / "map")
        run("remap", self.folder / "plain", "--mapping", self.folder / "map", "--out", self.folder / "remapped",
            "--memory", "64MiB")
        direct, remapped = tree(self.folder / "direct"), tree(self.folder / "remapped")
        direct.pop("manifest.json")
        remapped.pop("manifest.json")
        self.assertEqual(direct, remapped)

        # Other batches, of rows that are not all kept, one of them larger than the reader's window.
        gone = set()
        for number in (0, 7, 8, 30, 59):
            block = blocks.block(number)
            gone |= set(struct.unpack_from(f"<{struct.unpack_from('<I', block, 12)[0]}Q", block, 16))
        (self.folder / "map0").write_text("".join(f"{i} {0 if i in gone else i + 9}\n" for i in range(1, 3001)))
        for first, then in ((1, 3), (3, 1), (3, 3), (3, 7), (7, 2), (100, 4), (5, 100)):
            for name, source, more in (("source", "stream", ["--batch-size", first]),
                                       ("wanted", "stream", ["--batch-size", then, "--mapping", self.folder / "map0"]),
                                       ("got", "source", ["--batch-size", then, "--mapping", self.folder / "map0"])):
                shutil.rmtree(self.folder / name, ignore_errors=True)
                said = run("run", self.folder / source, *words, "--out", self.folder / name, *more)
            self.assertNotIn(" 0 empty", said)
            wanted, got = tree(self.folder / "wanted"), tree(self.folder / "got")
            wanted.pop("manifest.json")
            got.pop("manifest.json")
            self.assertEqual(wanted, got, (first, then))

        # Shards that are not as an export writes them: rows in another order, rows of another cell, twice the same.
        shards = sorted((self.folder / "plain/s0").glob("*.arrow"))
        tables = [pyarrow.ipc.open_stream(path.read_bytes()).read_all() for path in shards]

        def rewritten(path, table, rows):
            with pyarrow.ipc.new_stream(str(path), table.schema) as writer:
                writer.write_table(table, max_chunksize=rows)
        for kind, threads in (("as it is", 3), ("reversed", 1), ("reversed", 3), ("another cell", 1), ("another name", 2)):
            other = self.folder / "other"
            shutil.rmtree(other, ignore_errors=True)
            shutil.copytree(self.folder / "plain", other)
            (other / "manifest.json").unlink()  # which would miss a shard that is elsewhere
            inner = other / "s0"
            if kind == "reversed":
                rewritten(inner / shards[-1].name, tables[-1].take(list(range(tables[-1].num_rows))[::-1]), 100)
            elif kind == "another cell":  # the last shard's rows behind the first's
                (inner / shards[-1].name).unlink()
                rewritten(inner / shards[0].name, pyarrow.concat_tables([tables[0], tables[-1]]), 1)
            elif kind == "another name":
                (inner / shards[0].name).rename(inner / "rows.arrow")
            shutil.rmtree(self.folder / "remapped")
            run("remap", other, "--mapping", self.folder / "map", "--out", self.folder / "remapped", "--memory", "128MiB",
                "--threads", threads)
            remapped = tree(self.folder / "remapped")
            remapped.pop("manifest.json")
            self.assertEqual(direct, remapped, kind)

        text = run("plan", self.folder / "stream", *words, "--out", "unused")
        self.assertIn("rows      60", text)
        self.assertIn(f"shards    {len(list((self.folder / 'plain/s0').glob('*.arrow')))}", text)

        self.assertIn("60 rows", run("verify", self.folder / "plain", progress=False))
        shard = next((self.folder / "plain/s0").glob("*.arrow"))
        good = shard.read_bytes()
        make = random.Random(2)
        refused = 0
        for _ in range(30):
            damaged = bytearray(good)
            damaged[make.randrange(len(good))] ^= 1 << make.randrange(8)
            shard.write_bytes(damaged)
            done = subprocess.run([exported.SPILLWAY, "export", "verify", str(self.folder / "plain")], capture_output=True)
            self.assertIn(done.returncode, (0, 1), done.stderr)
            refused += done.returncode
        self.assertGreater(refused, 20)  # labels are not checked: any mapping may have made them

    def test_fib19_block(self):
        if not exported.DATA:
            self.skipTest("no --data with the FIB-19 sample")
        block = gzip.decompress((exported.DATA / "blocks/fib19-64x64x64-sample1-block.dat.gz").read_bytes())
        raw = numpy.frombuffer(gzip.decompress((exported.DATA / "blocks/fib19-64x64x64-sample1.dat.gz").read_bytes()), "<u8")
        (self.folder / "fib").write_bytes(volumes.record((0, 0, 0), volumes.packed(block)))
        (self.folder / "voxels").write_bytes(volumes.record((0, 0, 0), raw.tobytes()))
        (self.folder / "info").write_text(json.dumps(volumes.info([64] * 3)))
        for name, more in (("fib", []), ("voxels", ["--payload", "raw"])):
            out = self.folder / "fib.out"
            shutil.rmtree(out, ignore_errors=True)
            run("run", self.folder / name, "--spec", self.folder / "info", "--out", out, "--memory", "64MiB", *more)
            self.assertTrue((self.voxels_of_shards(out, (64,) * 3).reshape(-1) == raw).all(), name)
            run("verify", out, progress=False)


if __name__ == "__main__":
    exported.main(__doc__)
