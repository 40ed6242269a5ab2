#!/usr/bin/env python3
"""What `spillway export` says about its own results: verify names each thing that is damaged; a stopped run goes on only
over the input it began with, and makes a finished shard again when it is not what it was.
"""
import hashlib
import json
import os
import pathlib
import shutil
import struct
import time
import unittest

import exported
import web
from exported import numpy, pyarrow, run, tree, volumes

CELL = 4  # blocks a side: preshift 3, minishard 3
GRID = (CELL, CELL, CELL * 4)


def fresh(folder: pathlib.Path) -> pathlib.Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def copy(source: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target


def patch(path: pathlib.Path, at: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


class Shard:
    """An Arrow shard of one-row batches: where its values are in the file."""

    def __init__(self, path: pathlib.Path):
        self.path, self.csv = path, path.with_suffix(".csv")
        self.data = path.read_bytes()
        lines = self.csv.read_text().splitlines()
        self.schema_size = int(lines[0].split("=")[1])
        self.rows = [[int(n) for n in line.split(",")] for line in lines[2:]]
        self.buffer = pyarrow.py_buffer(self.data)
        self.schema = pyarrow.ipc.read_schema(self.buffer)

    def column(self, row: int, name: str, part: int) -> int:
        """The offset in the file of a buffer of the row's batch: part as in Array.buffers()."""
        begin, size = self.rows[row][3:5]
        batch = pyarrow.ipc.read_record_batch(self.buffer.slice(begin, size), self.schema)
        return batch.column(self.schema.get_field_index(name)).buffers()[part].address - self.buffer.address

    def values(self, row: int, name: str) -> list:
        begin, size = self.rows[row][3:5]
        batch = pyarrow.ipc.read_record_batch(self.buffer.slice(begin, size), self.schema)
        return batch.column(self.schema.get_field_index(name)).to_pylist()[0]

    def move(self, row: int, at) -> None:
        """Gives a row other coordinates, in both files."""
        for name, value in zip(("chunk_x", "chunk_y", "chunk_z"), at):
            patch(self.path, self.column(row, name, 1), struct.pack("<i", value))
        lines = self.csv.read_text().splitlines()
        lines[2 + row] = ",".join(map(str, [*at, *self.rows[row][3:]]))
        self.csv.write_text("\n".join(lines) + "\n")


def reseal(folder: pathlib.Path) -> None:
    """Writes the hashes and sizes of the files as they are now into the manifest: what a forger would do."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for shard in manifest["shards"]:
        file = folder / shard["file"]
        for key, name in (("", file), ("csv_", file.with_suffix(".csv"))):
            if key + "sha256" in shard and name.exists():
                shard[key + "bytes"] = name.stat().st_size
                shard[key + "sha256"] = hashlib.sha256(name.read_bytes()).hexdigest()
    write_manifest(folder, manifest)


def write_manifest(folder: pathlib.Path, manifest) -> None:
    """With its own hash at the end, as it was written."""
    manifest = {k: v for k, v in manifest.items() if k != "sha256"}
    for file in manifest.get("files", []):
        data = (folder / file["file"]).read_bytes() if (folder / file["file"]).exists() else b""
        file["bytes"], file["sha256"] = len(data), hashlib.sha256(data).hexdigest()
    text = json.dumps(manifest, indent=1)[:-2] + ",\n"
    (folder / "manifest.json").write_text(f'{text}"sha256": "{hashlib.sha256(text.encode()).hexdigest()}"\n}}\n')


class Verify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = fresh(exported.WORK / "verify")
        cls.blocks = volumes.Blocks(seed=11, templates=3, ids=900)
        cls.bodies = volumes.write_mapping(str(cls.folder / "map"), 900)
        volumes.write_mapping(str(cls.folder / "other"), 900, seed=9)
        (cls.folder / "info").write_text(json.dumps(volumes.info([n * 64 for n in GRID], 3, 3)))
        with open(cls.folder / "stream", "wb") as out:
            for number in range(CELL ** 3 * 2):
                if number not in (7, 8):
                    out.write(volumes.record(volumes.at_of(number, GRID), volumes.packed(cls.blocks.block(number))))
            # A table with an id twice and with 0; a solid block.
            twice = bytearray(cls.blocks.block(7))
            struct.pack_into("<QQQ", twice, 16, 5, 5, 0)
            out.write(volumes.record(volumes.at_of(7, GRID), bytes(twice)))
            out.write(volumes.record(volumes.at_of(8, GRID), struct.pack("<IIIIQ", 8, 8, 8, 1, 5)))
            for bad in range(3):
                out.write(volumes.record((90 + bad, 0, 0), b"no block"))
        assert cls.bodies[5] != 0
        words = [cls.folder / "stream", "--spec", cls.folder / "info", "--memory", "64MiB", "--on-error", "reject"]
        run("run", *words, "--out", cls.folder / "plain")
        run("run", *words, "--out", cls.folder / "mapped", "--mapping", cls.folder / "map")
        run("run", *words, "--out", cls.folder / "chunks", "--to", "precomputed")
        cls.mapping = ["--mapping", cls.folder / "map"]

    def verify(self, folder, *more, expect=0):
        text = run("verify", folder, *more, expect=expect, progress=False)
        if expect:
            self.assertEqual(len(text.strip().splitlines()), 1, text)
        return text

    def damaged(self, base, change, word, *more, sealed=False, expect=1):
        out = copy(self.folder / base, self.folder / "damaged")
        change(out)
        if sealed:
            reseal(out)
        self.assertRegex(self.verify(out, *more, expect=expect), word)

    def test_good_folders_are_right(self):
        self.assertIn("128 rows: all right", self.verify(self.folder / "plain"))
        text = self.verify(self.folder / "mapped")
        self.assertIn("labels were not compared with a mapping", text)
        text = self.verify(self.folder / "mapped", *self.mapping)
        self.assertNotIn("not", text)
        self.assertIn("128 chunks: all right", self.verify(self.folder / "chunks"))
        bare = copy(self.folder / "plain", self.folder / "bare")
        (bare / "manifest.json").unlink()
        self.assertIn("no manifest.json", self.verify(bare))
        # Other writers' rows are in any order.
        shard = Shard(bare / "s0/0_0_0.arrow")
        shard.move(5, (3, 3, 9))
        self.assertIn("the order of rows", self.verify(bare))
        (bare / "notes.txt").write_text("")
        chunks = copy(self.folder / "chunks", self.folder / "bare chunks")
        (chunks / "manifest.json").unlink()
        (chunks / "notes.txt").write_text("")
        text = self.verify(chunks)
        self.assertIn("128 chunks: all right", text)
        self.assertIn("1 files that are no export's were not looked at (notes.txt)", text)
        reseal(copy(self.folder / "plain", self.folder / "bare"))  # what the tests below stand on
        self.verify(self.folder / "bare")

    def test_files_that_are_not_the_manifests(self):
        first = "s0/0_0_0"
        flip = lambda name: lambda out: patch(out / name, 600, bytes([(out / name).read_bytes()[600] ^ 1]))
        for name in (f"{first}.arrow", f"{first}.csv"):
            self.damaged("plain", flip(name), rf"{name}: its SHA-256 is not the manifest's")
            self.damaged("plain", lambda out: os.truncate(out / name, 500), rf"{name}: has 500 bytes, the manifest says \d+")
            self.damaged("plain", lambda out: (out / name).unlink(), rf"{name}: is missing")
        shard = json.loads((self.folder / "chunks/manifest.json").read_text())["shards"][0]["file"]
        self.damaged("chunks", flip(shard), rf"{shard}: its SHA-256")
        self.damaged("chunks", lambda out: (out / shard).unlink(), rf"{shard}: is missing")
        for name in ("s0/64_0_0.arrow", "s0/64_0_0.csv"):
            self.damaged("plain", lambda out: (out / name).write_text(""), rf"{name}: the manifest does not list it")

    def test_chunks_are_opened(self):
        shard = json.loads((self.folder / "chunks/manifest.json").read_text())["shards"][0]["file"]
        table = 16 << json.loads((self.folder / "chunks/info").read_text())["scales"][0]["sharding"]["minishard_bits"]
        for at, data, word in ((table, b"\xff\xff\xff\x7f", r"chunk \d+,\d+,\d+: "),
                               (0, bytes(table), r"names 0 chunks, the manifest says \d+"),
                               (8, b"\xff" * 8, "minishard 0: its index")):
            self.damaged("chunks", lambda out: patch(out / shard, at, data), word, sealed=True)

    def test_totals_spec_and_rejects(self):
        def totals(**more):
            def change(out):
                manifest = json.loads((out / "manifest.json").read_text())
                for key, value in more.items():
                    manifest["totals"][key] += value
                write_manifest(out, manifest)
            return change

        def entry(key, value):
            def change(out):
                manifest = json.loads((out / "manifest.json").read_text())
                manifest["shards"][0][key] += value
                write_manifest(out, manifest)
            return change
        self.damaged("plain", totals(empty=1), "totals do not balance")
        self.damaged("plain", totals(written=1, blocks_in=1), "its totals say 129 rows in 2 shards, its shards 128 in 2")
        self.damaged("plain", totals(shards=1), "its totals say 128 rows in 3 shards")
        self.damaged("plain", totals(rejected=1, blocks_in=1), r"rejects.csv: has 3 rows, the manifest says 4")
        self.damaged("plain", entry("rows", 1), r"0_0_0.arrow: has 64 rows in 64 batches, the manifest says 65 in 64")
        self.damaged("plain", entry("batches", -1), r"the manifest says 64 in 63")
        self.damaged("plain", lambda out: (out / "rejects.csv").unlink(), "rejects.csv: is missing")
        self.damaged("plain", lambda out: (out / "spec.json").write_text("{}"), "spec.json: has 2 bytes, the manifest says")
        self.damaged("plain", lambda out: (out / "manifest.json").write_text(
            (out / "manifest.json").read_text().replace("stream", "dream", 1)), "does not end in its own SHA-256")
        self.damaged("chunks", lambda out: (out / "spec.json").write_text("{}"), "spec.json: the manifest does not list it")
        self.damaged("chunks", lambda out: patch(out / "info", 5, b"x"), "info: its SHA-256")
        self.damaged("plain", lambda out: (out / "spec.json").unlink(), "spec.json: is missing")
        self.damaged("plain", lambda out: (out / "manifest.json").write_text("{"), "manifest.json: is no JSON")
        self.damaged("plain", lambda out: (out / "manifest.json").write_text('{"shards": [{}]}'), "no shard")
        self.damaged("plain", lambda out: (out / "manifest.json").write_text('{"shards": []}'), '"options"')
        self.damaged("plain", lambda out: (out / ".spillway").mkdir(), "not finished")

    def labels(self, row_with, change):
        """A damage: `change(values)` to the labels of the first row that `row_with` holds for."""
        def damage(out):
            shard = Shard(out / "s0/0_0_0.arrow")
            row = next(i for i in range(len(shard.rows)) if row_with(shard.values(i, "supervoxels")))
            values = list(shard.values(row, "labels"))
            change(values)
            patch(shard.path, shard.column(row, "labels", 3), struct.pack(f"<{len(values)}Q", *values))
        return damage

    def test_labels(self):
        def add_one(values):
            values[0] += 1

        def other_repeat(values):
            values[1] += 1

        def zero_labelled(values):
            values[2] = 77

        def all_zero(values):
            values[:] = [0] * len(values)
        plain = lambda ids: len(ids) > 5 and ids[0] != ids[1]
        twice = lambda ids: len(ids) > 5 and ids[0] == ids[1]
        solid = lambda ids: len(ids) == 1
        self.damaged("plain", self.labels(plain, add_one), r"block \d+,\d+,\d+: labels\[0\] is (\d+), supervoxel \d+ belongs to",
                     sealed=True)
        self.damaged("mapped", self.labels(plain, add_one), r"labels\[0\] is \d+, supervoxel \d+ belongs to \d+", *self.mapping,
                     sealed=True)
        out = copy(self.folder / "mapped", self.folder / "damaged")
        self.labels(plain, add_one)(out)
        reseal(out)
        self.verify(out)  # which only the mapping can tell
        self.damaged("mapped", self.labels(twice, other_repeat), "supervoxel 5 has the labels", sealed=True)
        self.damaged("mapped", self.labels(twice, zero_labelled), "supervoxel 0 is always 0", sealed=True)
        self.damaged("mapped", self.labels(solid, all_zero), "all its labels are 0", sealed=True)
        self.damaged("mapped", lambda out: None, "another mapping", "--mapping", self.folder / "other")
        self.damaged("plain", lambda out: None, "another mapping", *self.mapping)
        self.damaged("chunks", lambda out: None, "only Arrow shards", *self.mapping, expect=2)

        def one_less(out):
            shard = Shard(out / "s0/0_0_0.arrow")
            count = len(shard.values(0, "labels"))
            patch(shard.path, shard.column(0, "labels", 1) + 4, struct.pack("<i", count - 1))
        self.damaged("plain", one_less, r"row 0: 23 labels for 24 supervoxels", sealed=True)

    def test_rows_and_csv(self):
        def shard_change(change):
            return lambda out: change(Shard(out / "s0/0_0_0.arrow"))

        def line(row, column, value):
            def change(shard):
                lines = shard.csv.read_text().splitlines()
                fields = lines[2 + row].split(",")
                fields[column] = str(value(int(fields[column])))
                lines[2 + row] = ",".join(fields)
                shard.csv.write_text("\n".join(lines) + "\n")
            return shard_change(change)

        def text(old, new):
            return shard_change(lambda shard: shard.csv.write_text(shard.csv.read_text().replace(old, new, 1)))

        def value(row, name, part, data):
            return shard_change(lambda shard: patch(shard.path, shard.column(row, name, part), data))
        seal = {"sealed": True}
        self.damaged("plain", shard_change(lambda s: s.move(5, s.rows[4][:3])), "not behind the row before", **seal)
        self.damaged("plain", shard_change(lambda s: s.move(63, (3, 3, 4))), r"belongs in 0_0_256.arrow", **seal)
        self.damaged("plain", shard_change(lambda s: s.move(63, (3, 3, 99))), "outside the volume", **seal)
        self.damaged("plain", value(9, "chunk_y", 1, struct.pack("<i", 3)), r"0_0_0.csv: line 12: y is 2, the Arrow file has 3", **seal)
        for column, name in enumerate(("x", "y", "z", "offset", "size", "batch_idx")):
            self.damaged("plain", line(2, column, lambda n: n + 8), rf"0_0_0.csv: line 5: {name} is \d+, the Arrow file has", **seal)
        self.damaged("plain", text("# schema_size=", "# schema_size=1"), r"line 1: schema_size \d+, the schema has", **seal)
        self.damaged("plain", text("batch_idx", "row"), "line 2: another header", **seal)
        self.damaged("plain", text("\n0,0,0,", "\n0,0,zero,"), "line 3: six numbers", **seal)

        def cut(shard):
            shard.csv.write_text("\n".join(shard.csv.read_text().splitlines()[:-1]) + "\n")

        def longer(shard):
            shard.csv.write_text(shard.csv.read_text() + "1,2,3,4,5,0\n")
        self.damaged("plain", shard_change(cut), "ends before the Arrow file does", **seal)
        self.damaged("plain", shard_change(longer), "more rows than the Arrow file", **seal)
        self.damaged("plain", shard_change(lambda s: s.csv.write_text(s.csv.read_text()[:-1])), "has no end", **seal)

    def test_frames_and_blocks(self):
        def change(data, at=0):
            def damage(out):
                shard = Shard(out / "s0/0_0_0.arrow")
                begin = shard.column(3, "dvid_compressed_block", 2) + at
                patch(shard.path, begin, data(shard.data[begin:begin + 64]))
            return damage

        def label(out):
            shard = Shard(out / "s0/0_0_0.arrow")
            for name in ("labels", "supervoxels"):
                patch(shard.path, shard.column(3, name, 3), struct.pack("<Q", 999999))

        def size(out):
            shard = Shard(out / "s0/0_0_0.arrow")
            patch(shard.path, shard.column(3, "uncompressed_size", 1), struct.pack("<I", 1234))
        flip = lambda old: bytes([old[0] ^ 1])
        self.damaged("plain", change(flip), "block 3,0,0: no zstd frame", sealed=True)
        self.damaged("plain", change(flip, at=200), "block 3,0,0: .*(zstd|frame)", sealed=True)
        self.damaged("plain", change(lambda old: bytes([old[0] & ~4]), at=4), "no checksum", sealed=True)
        self.damaged("plain", label, "supervoxels is not its label table", sealed=True)
        self.damaged("plain", size, r"uncompressed_size 1234 is not the frame's \d+", sealed=True)
        self.damaged("plain", lambda out: patch(out / "s0/0_0_0.arrow", 40, b"\xff" * 8), "0_0_0.arrow", sealed=True)
        empty = fresh(self.folder / "empty")
        self.assertIn("neither", self.verify(empty, expect=1))
        self.assertIn("no such folder", self.verify(self.folder / "none", expect=1))
        self.assertIn("needs at least", self.verify(self.folder / "plain", "--memory", "8MiB", expect=3))


class Resume(unittest.TestCase):
    """A run that a file-size limit stops in its last shard, which is larger than the others."""

    LIMIT = 120_000

    @classmethod
    def setUpClass(cls):
        cls.folder = fresh(exported.WORK / "resume")
        cls.blocks = volumes.Blocks(seed=12, templates=3, ids=500)
        cls.numbers = [n for n in range(CELL ** 3 * 4) if n >= CELL ** 3 * 3 or n % 8 == 0]
        (cls.folder / "info").write_text(json.dumps(volumes.info([n * 64 for n in GRID], 3, 3)))
        cls.payloads = {n: volumes.packed(cls.blocks.block(n)) for n in cls.numbers}
        cls.write(cls.folder / "stream")
        run("run", *cls.words(cls.folder / "whole"))
        cls.whole = tree(cls.folder / "whole")
        assert len(cls.whole) == 2 * 4 + 2

    @classmethod
    def write(cls, path, payloads=None, order=None):
        payloads = payloads or cls.payloads
        path.write_bytes(b"".join(volumes.record(volumes.at_of(n, GRID), payloads[n]) for n in order or payloads))

    @classmethod
    def words(cls, out, source=None, to="arrow"):
        return [source or cls.folder / "stream", "--spec", cls.folder / "info", "--memory", "256MiB", "--to", to, "--out", out]

    def stopped(self, name, source=None, **more):
        out = self.folder / name
        shutil.rmtree(out, ignore_errors=True)
        run("run", *self.words(out, source), expect=(1, 3), file_size=self.LIMIT, **more)
        self.assertEqual(len(list(out.glob("s0/*.arrow"))), 3)
        self.assertTrue((out / ".spillway/journal").exists())
        self.assertFalse((out / "manifest.json").exists())
        return out

    def test_goes_on_and_keeps_what_is_whole(self):
        out = self.stopped("kept")
        before = {p: p.stat().st_mtime_ns for p in out.glob("s0/*")}
        report = self.folder / "kept.json"
        self.assertIn("3 shards stood there already", run("run", *self.words(out), "--report", report))
        kept = sum(1 for n in self.numbers if n < CELL ** 3 * 3)
        self.assertEqual(json.loads(report.read_text())["job"]["blocks_not_made"], kept)
        self.assertEqual(tree(out), self.whole)
        self.assertEqual({p: p.stat().st_mtime_ns for p in before}, before)

    def test_makes_damaged_shards_again(self):
        out = self.stopped("damaged")
        patch(out / "s0/0_0_0.arrow", 1000, b"damage")
        (out / "s0/0_0_256.csv").unlink()
        # It is stopped once more behind the repair: the journal must still be good for the third run.
        run("run", *self.words(out), expect=(1, 3), file_size=self.LIMIT)
        self.assertIn("3 shards stood there already", run("run", *self.words(out)))
        self.assertEqual(tree(out), self.whole)
        run("verify", out, progress=False)

    def refused(self, *words, word, command="run", **more):
        text = run(*([command] if command else []), *words, expect=2, **more)
        self.assertEqual(len(text.strip().splitlines()), 1, text)
        self.assertIn("--resume never", text)
        self.assertIn(word, text)

    def test_another_input_under_the_same_name_is_refused(self):
        source = self.folder / "changing"
        self.write(source)
        out = self.stopped("changed", source)
        before = tree(out)
        with open(source, "ab") as more:
            more.write(volumes.record((0, 0, 15), self.payloads[0]))
        self.refused(*self.words(out, source), word="its size, its beginning or its end differ")
        number = self.numbers[40]  # another byte in a gzip header: the same block
        self.write(source, {**self.payloads, number: self.payloads[number][:9] + b"\xff" + self.payloads[number][10:]})
        self.assertIn("3 shards stood", run("run", *self.words(out, source)))
        self.assertEqual({k: v for k, v in tree(out).items() if k != "manifest.json"},
                         {k: v for k, v in self.whole.items() if k != "manifest.json"})
        self.assertTrue(set(before.items()) - {(k, v) for k, v in before.items() if k.startswith(".spillway")}
                        <= set(tree(out).items()))

    def test_other_blocks_in_a_file_of_the_same_size_are_refused(self):
        source = self.folder / "changing2"
        plain = {n: self.blocks.block(n) for n in self.numbers}
        self.write(source, plain)
        out = self.folder / "changed2"
        shutil.rmtree(out, ignore_errors=True)
        run("run", *self.words(out, source), expect=(1, 3), file_size=self.LIMIT)
        before = {p.name: p.read_bytes() for p in out.glob("s0/*")}
        number = self.numbers[20]
        other = bytearray(plain[number])
        struct.pack_into("<Q", other, 16, 123456)
        self.write(source, {**plain, number: bytes(other)})
        self.refused(*self.words(out, source), word="its blocks differ")
        self.assertEqual({p.name: p.read_bytes() for p in out.glob("s0/*")}, before)
        run("run", *self.words(out, source), "--resume", "never")
        run("run", *self.words(self.folder / "anew", source))
        self.assertEqual(tree(out), tree(self.folder / "anew"))
        shutil.rmtree(self.folder / "anew")

    def test_stdin_may_come_in_another_order_but_not_with_other_blocks(self):
        self.write(self.folder / "backwards", order=self.numbers[::-1])
        forward, backward = ((self.folder / n).read_bytes() for n in ("stream", "backwards"))
        out = self.stopped("stdin", "-", input=forward)
        cut = b"".join(volumes.record(volumes.at_of(n, GRID), self.payloads[n]) for n in self.numbers[:-1])
        self.refused(*self.words(out, "-"), word="its blocks differ", input=cut)
        self.assertIn("3 shards stood", run("run", *self.words(out, "-"), input=backward))
        self.assertEqual({k: v for k, v in tree(out).items() if k.startswith("s0")},
                         {k: v for k, v in self.whole.items() if k.startswith("s0")})

    def test_a_finished_run_is_not_taken_for_one_of_a_changed_input(self):
        source, out = self.folder / "finished.in", self.folder / "finished"
        shutil.rmtree(out, ignore_errors=True)
        self.write(source)
        run("run", *self.words(out, source))
        self.assertIn("finished before", run("run", *self.words(out, source)))
        os.utime(source, (time.time() + 5, time.time() + 5))
        self.refused(*self.words(out, source), word="was changed since")
        self.assertIn("blocks/s", run("run", *self.words(out, source), "--resume", "never"))

    def test_a_remap_keeps_shards_only_of_the_same_rows(self):
        source, out, whole = (self.folder / n for n in ("rows", "remapped", "remapped.whole"))
        for folder in (out, whole):
            shutil.rmtree(folder, ignore_errors=True)
        copy(self.folder / "whole", source)
        (self.folder / "map").write_text("".join(f"{i} {i + 5}\n" for i in range(1, 40)))
        words = ["remap", source, "--mapping", self.folder / "map", "--memory", "256MiB", "--out"]
        run(*words, whole)
        content = json.loads((whole / "manifest.json").read_text())["input"]["content"]
        self.assertEqual(int(content[32:], 16), len(self.numbers))
        # On one thread, so that all shards before the one that fails are published.
        run(*words, out, "--threads", "1", expect=(1, 3), file_size=self.LIMIT)
        self.assertEqual(len(list(out.glob("s0/*.arrow"))), 3)
        kept = copy(out, self.folder / "remapped.stopped")
        self.assertIn("3 shards stood there already", run(*words, out))
        self.assertEqual(tree(out), tree(whole))
        # A supervoxel of a shard that stands there: the same size, other rows.
        copy(kept, out)
        shard = next(p for p in sorted(source.glob("s0/*.arrow")) if p.name == "0_0_256.arrow")
        data = shard.read_bytes()
        last = pyarrow.ipc.open_stream(data).read_next_batch().column("dvid_compressed_block")[0].as_py()
        patch(shard, data.index(last) + len(last) - 1, bytes([last[-1] ^ 1]))
        self.refused(*words, out, command=None, word="its blocks differ")
        # Slices are painted on the way.
        copy(self.folder / "whole", source)
        copy(kept, out)
        self.assertIn("3 shards stood there already", run(*words, out, "--report", self.folder / "page.html"))
        self.assertIn("The middle of the volume", (self.folder / "page.html").read_text())
        self.assertEqual(tree(out), tree(whole))
        # Sorted or not: the same sum of all rows.
        moved = copy(source, self.folder / "rows.moved")
        (moved / "manifest.json").unlink()  # which would miss the shard that is renamed
        for path in sorted(moved.glob("s0/0_0_0.*")):
            path.rename(path.with_name("0_0_1" + path.suffix))
        again = self.folder / "remapped.sorted"
        shutil.rmtree(again, ignore_errors=True)
        run("remap", moved, *words[2:], again)
        same = [json.loads((p / "manifest.json").read_text()) for p in (whole, again)]
        self.assertEqual(same[0]["input"]["content"], same[1]["input"]["content"])
        self.assertEqual(same[0]["shards"], same[1]["shards"])

    def test_resume_never_looks_at_its_inputs_before_it_removes_anything(self):
        out, mapping = self.folder / "never.kept", self.folder / "never.map"
        shutil.rmtree(out, ignore_errors=True)
        source = self.folder / "never.in"
        self.write(source)
        run("run", *self.words(out, source))
        inside = out / "stream"
        self.write(inside)
        before = tree(out)
        mapping.write_text("1 2\nno mapping\n")
        (self.folder / "no.info").write_text("{}")
        with web.serve(self.folder) as server:
            wrong = [["run", self.folder / "none", "--spec", self.folder / "info"],
                     ["run", source, "--spec", self.folder / "none"],
                     ["run", source, "--spec", self.folder / "no.info"],
                     ["run", source, "--spec", self.folder / "info", "--mapping", mapping],
                     ["run", server.address + "/none", "--spec", self.folder / "info"],
                     ["run", self.folder / "info", "--spec", self.folder / "info"]]
            inputs = [["run", inside, "--spec", self.folder / "info"], ["run", out, "--spec", self.folder / "info"],
                      ["run", source, "--spec", out / "spec.json"]]
            for words in wrong + inputs:
                text = run(*words, "--memory", "256MiB", "--out", out, "--resume", "never", expect=(1, 2))
                self.assertIn("lies in --out" if words in inputs else "", text)
                self.assertEqual(tree(out), before, words)

    def test_resume_never_leaves_nothing_of_the_run_before(self):
        out = self.stopped("never")
        (out / "notes.txt").write_text("mine")
        few = self.folder / "few"
        self.write(few, order=self.numbers[-40:])
        run("run", *self.words(out, few), "--resume", "never")
        names = set(tree(out))
        self.assertEqual(names, {"s0/0_0_768.arrow", "s0/0_0_768.csv", "manifest.json", "spec.json", "notes.txt"})
        run("verify", out, progress=False)
        run("run", *self.words(out, few, to="precomputed"), "--resume", "never")
        self.assertFalse(list(out.glob("s0/*")))
        run("verify", out, progress=False)


if __name__ == "__main__":
    exported.main(__doc__)
