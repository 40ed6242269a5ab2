#!/usr/bin/env python3
"""What `spillway export` makes of odd, damaged, hostile and changing inputs: read, or refused in one line, never a wrong exit 0.

Needs the Python of the project's own environment.
"""
import bz2
import contextlib
import ctypes
import gzip
import io
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "memcap"))
import exported  # noqa: E402
import memcap  # noqa: E402
import web  # noqa: E402
from exported import numpy, pyarrow, run, tree, volumes  # noqa: E402
import pyarrow.parquet  # noqa: E402


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def brotli(data):
    """By the library that the binary's own decoder comes with."""
    library = ctypes.CDLL("libbrotlienc.so.1")
    size = ctypes.c_size_t(len(data) + len(data) // 2 + 1024)
    out = ctypes.create_string_buffer(size.value)
    assert library.BrotliEncoderCompress(5, 22, 0, ctypes.c_size_t(len(data)), data, ctypes.byref(size), out)
    return out.raw[:size.value]


class Inputs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = fresh(exported.WORK / cls.__name__)
        make = numpy.random.default_rng(4)
        small = make.integers(0, 200, size=(11, 12, 14))
        cls.zyx = numpy.kron(small, numpy.ones((10, 10, 10), dtype=small.dtype)).astype("<u8")
        cls.info = volumes.info(tuple(reversed(cls.zyx.shape)), 1, 2)
        cls.spec = cls.folder / "info"
        cls.spec.write_text(json.dumps(cls.info))
        numpy.save(cls.folder / "plain.npy", cls.zyx)
        cls.want = cls.shards(cls.export(cls.folder / "plain.npy", "plain")[0])

    @classmethod
    def export(cls, source, name="out", *more, expect=0, spec=None, **options):
        out = cls.folder / name
        shutil.rmtree(out, ignore_errors=True)
        text = run("run", source, "--spec", spec or cls.spec, "--out", out, "--memory", "96MiB", *more, expect=expect, **options)
        if expect:
            assert len(text.strip().splitlines()) == 1, text
        return out, text

    @staticmethod
    def shards(out):
        return {k: v for k, v in tree(out).items() if k.endswith((".arrow", ".csv"))}

    def same(self, source, *more, **options):
        out, text = self.export(source, "same", *more, **options)
        self.assertEqual(self.shards(out), self.want, source)
        return text

    def refused(self, word, source, *more, expect=(1, 2), **options):
        out, text = self.export(source, "refused", *more, expect=expect, **options)
        self.assertRegex(text, word)
        self.assertFalse((out / "manifest.json").exists())

    def precomputed(self, name, chunk=(64, 64, 64), suffix="", pack=lambda data: data, sharding=None, dtype="<u8"):
        """self.zyx as raw chunks, a file each."""
        folder = fresh(self.folder / name)
        size = list(reversed(self.zyx.shape))
        scale = {"key": "8", "size": size, "resolution": [8, 8, 8], "voxel_offset": [0, 0, 0], "chunk_sizes": [list(chunk)], "encoding": "raw"}
        (folder / "info").write_text(json.dumps({"type": "segmentation", "data_type": "uint64", "num_channels": 1, "scales": [scale]}))
        (folder / "8").mkdir()
        for z in range(0, size[2], chunk[2]):
            for y in range(0, size[1], chunk[1]):
                for x in range(0, size[0], chunk[0]):
                    box = self.zyx[z:z + chunk[2], y:y + chunk[1], x:x + chunk[0]]
                    place = "_".join(f"{b}-{b + n}" for b, n in zip((x, y, z), reversed(box.shape)))
                    (folder / "8" / (place + suffix)).write_bytes(pack(box.astype(dtype).tobytes()))
        return folder


class Voxels(Inputs):
    def npy(self, header, data=None, version=1):
        path = self.folder / "odd.npy"
        head = header + b" " * (117 - len(header)) + b"\n"
        path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(head)) + head +
                         (self.zyx.tobytes() if data is None else data))
        return path

    def test_headers_of_every_numpy(self):
        shape = repr(tuple(int(n) for n in self.zyx.shape)).encode()
        two = shape.replace(b",", b"L,").replace(b")", b"L)")
        for version in (1, 2, 3):
            self.same(self.npy(b"{'descr': '<u8', 'fortran_order': False, 'shape': " + shape + b", }", version=version))
        self.same(self.npy(b"{u'descr': u'<u8', u'fortran_order': False, u'shape': " + two + b"}"))
        self.same(self.npy(b'{"shape":' + shape + b',"descr":"=u8","fortran_order":False}'))
        self.same(self.npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': " + shape + b"}", self.zyx.astype("u1").tobytes()))
        big = self.zyx.astype(">u4")
        self.same(self.npy(b"{'descr': '>u4', 'fortran_order': True, 'shape': " + shape + b"}", big.tobytes(order="F")))
        for bad, word in ((b"{'descr': [('a', '<u8')], 'fortran_order': False, 'shape': " + shape + b"}", "structures of several fields"),
                          (b"{'descr': '<f8', 'fortran_order': False, 'shape': " + shape + b"}", "voxels of type f8"),
                          (b"{'descr': '<u8', 'fortran_order': False, 'shape': " + shape + b", 'layers': 2}", "'layers', which is not of the format"),
                          (b"{'descr': '<u8', 'descr': '<u4', 'fortran_order': False, 'shape': " + shape + b"}", "'descr' twice"),
                          (b"{'descr': '<u8', 'fortran_order': False, 'shape': (4, 5)}", "three axes"),
                          (b"{'descr': '<u8', 'fortran_order': False, 'shape': (0, 4, 5)}", "empty axis"),
                          (b"{'descr': '<u8', 'fortran_order': False}", "no descr, fortran_order or shape")):
            self.refused(word, self.npy(bad))
        self.refused("version 4.0", self.npy(b"{}", version=4))

    def test_the_content_counts_where_the_name_lies(self):
        data = (self.folder / "plain.npy").read_bytes()
        packed = gzip.compress(data, 1)
        for name in ("lie.npy", "lie.nii", "lie.bin", "lie.npy.gz"):
            (self.folder / name).write_bytes(data)
            self.same(self.folder / name)
        for name in ("packed.npy", "packed.npy.gz"):
            (self.folder / name).write_bytes(packed)
            self.same(self.folder / name)
        (self.folder / "padded.npy").write_bytes(packed + bytes(1000))
        self.same(self.folder / "padded.npy")
        two = gzip.compress(data[:5000], 1) + gzip.compress(data[5000:], 1)
        (self.folder / "members.npy").write_bytes(two)
        self.same(self.folder / "members.npy")
        for tail in (b"x", bytes(10) + b"\x1f\x8b"):
            (self.folder / "tail.npy").write_bytes(packed + tail)
            self.refused("neither gzip nor zeros", self.folder / "tail.npy")
        (self.folder / "cut.npy").write_bytes(packed[:-20])
        self.refused("gzip at byte .*ends too early", self.folder / "cut.npy")

    def test_unknown_formats_are_called_by_name(self):
        begins = {"HDF5": b"\x89HDF\r\n\x1a\n", "TIFF": b"II*\0", "BigTIFF": b"MM\0+", "NRRD": b"NRRD0004\n", "zip": b"PK\3\4", "PNG": b"\x89PNG\r\n\x1a\n",
                  "Parquet": b"PAR1", "an Arrow file": b"ARROW1\0\0", "zstd": b"\x28\xb5\x2f\xfd", "xz": b"\xfd7zXZ\0"}
        for name, begin in begins.items():
            for suffix in ("", ".npy", ".nii"):
                path = self.folder / f"some{suffix}"
                path.write_bytes(begin + bytes(500))
                self.refused(f"is {name}", path)
        for marker, name in ((".zarray", "Zarr"), ("zarr.json", "Zarr"), ("attributes.json", "N5")):
            folder = fresh(self.folder / "other")
            (folder / marker).write_text("{}")
            self.refused(f"is {name}", folder)
        (self.folder / "some.gz").write_bytes(gzip.compress(bytes(4000)))
        self.refused("is gzip, not a blocks stream", self.folder / "some.gz")

    def test_raw_voxels_have_exactly_their_shape(self):
        words = ("--shape", ",".join(map(str, reversed(self.zyx.shape))), "--dtype")
        path = self.folder / "raw"
        path.write_bytes(self.zyx.tobytes())
        for dtype in ("uint64", "u8", "<u8", "numpy.uint64", "np.int64"):
            self.same(path, *words, dtype)
        path.write_bytes(self.zyx.astype(">u8").tobytes())
        self.same(path, *words, ">u8")
        self.refused("its shape and type end at byte", path, *words, "uint32")
        path.write_bytes(self.zyx.tobytes()[:-1])
        self.refused("its shape needs", path, *words, "uint64")
        (self.folder / "long.npy").write_bytes((self.folder / "plain.npy").read_bytes() + b"\0")
        self.refused("its shape and type end at byte", self.folder / "long.npy")
        self.refused("voxels of type float32", path, *words, "float32")


class Opening(Inputs):
    """One way to open an input, everywhere: a file, a pipe, stdin, an address."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bodies = "".join(f"{i} {i % 7 + 1}\n" for i in range(1, 200))
        (cls.folder / "map").write_text(cls.bodies)
        with open(cls.folder / "stream", "wb") as out:
            blocks = volumes.Blocks(seed=2, templates=2, ids=199)
            for number in range(12):
                out.write(volumes.record(volumes.at_of(number, (3, 2, 2)), volumes.packed(blocks.block(number))))
        cls.mapped = cls.shards(cls.export(cls.folder / "stream", "mapped", "--mapping", cls.folder / "map")[0])

    def fed(self, path):
        """A FIFO that gives the file's bytes once."""
        fifo = self.folder / ("fifo" + pathlib.Path(path).suffix)
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo)
        data = pathlib.Path(path).read_bytes()

        def feed():
            with contextlib.suppress(BrokenPipeError), open(fifo, "wb") as out:
                out.write(data)
        threading.Thread(target=feed, daemon=True).start()
        return fifo

    def test_pipes(self):
        self.same(self.fed(self.folder / "plain.npy"))
        (self.folder / "z.npy").write_bytes(gzip.compress((self.folder / "plain.npy").read_bytes(), 1))
        self.same(self.fed(self.folder / "z.npy"))
        out, _ = self.export(self.fed(self.folder / "stream"), "piped", "--mapping", self.folder / "map")
        self.assertEqual(self.shards(out), self.mapped)
        out, _ = self.export(self.folder / "stream", "piped", "--mapping", self.fed(self.folder / "map"))
        self.assertEqual(self.shards(out), self.mapped)
        out, _ = self.export(self.folder / "stream", "piped", "--mapping", "-", input=self.bodies.encode())
        self.assertEqual(self.shards(out), self.mapped)
        done = subprocess.run(["bash", "-c", f"'{exported.SPILLWAY}' export run <(cat '{self.folder}/stream') --spec <(cat '{self.spec}') --mapping "
                               f"<(gzip -c '{self.folder}/map') --out '{self.folder}/subst' --progress none --memory 96MiB"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.shards(self.folder / "subst"), self.mapped)
        again = run("run", self.folder / "stream", "--spec", self.spec, "--out", self.folder / "subst", "--mapping", self.fed(self.folder / "map"),
                    "--memory", "96MiB", expect=2)
        self.assertIn("is a pipe and can be read once only", again)

    def test_addresses(self):
        with web.serve(self.folder) as server:
            at = server.address
            for words in ((at + "/stream", at + "/map", at + "/info"), (self.folder / "stream", at + "/map", self.spec)):
                out, _ = self.export(words[0], "http", "--mapping", words[1], spec=words[2])
                self.assertEqual(self.shards(out), self.mapped)
            table = pyarrow.table({"supervoxel": pyarrow.array(range(1, 200), "uint64"), "body": pyarrow.array([i % 7 + 1 for i in range(1, 200)], "uint64")})
            pyarrow.parquet.write_table(table, self.folder / "map.parquet")
            out, _ = self.export(self.folder / "stream", "http", "--mapping", at + "/map.parquet")
            self.assertEqual(self.shards(out), self.mapped)
            self.same(at + "/plain.npy")
            self.assertIn("finished before", run("run", self.folder / "stream", "--spec", self.spec, "--out", out, "--mapping", at + "/map.parquet", "--memory", "96MiB"))
            self.refused("404", self.folder / "stream", "--mapping", at + "/none")

    def test_links_in_a_circle_and_names_that_lead_nowhere(self):
        (self.folder / "a").symlink_to("b")
        (self.folder / "b").symlink_to("a")
        loop = self.folder / "a"
        self.refused("[Tt]oo many levels", loop)
        self.refused("[Tt]oo many levels", self.folder / "stream", "--mapping", loop)
        self.refused("[Tt]oo many levels", self.folder / "stream", spec=loop)
        self.refused("only files, http and https", self.folder / "stream", "--mapping", "s3://a/b")
        self.refused("is a folder", self.folder / "stream", "--mapping", self.folder)

    def test_a_single_shard(self):
        out, _ = self.export(self.folder / "stream", "whole", "--mapping", self.folder / "map")
        first = sorted((out / "s0").glob("*.arrow"))[0]
        one, _ = self.export(first, "one", "--mapping", self.folder / "map")
        got = self.shards(one)
        self.assertEqual(got, {k: v for k, v in self.mapped.items() if pathlib.Path(k).stem == first.stem})

    def test_a_shard_that_the_manifest_lists_is_missed(self):
        out, _ = self.export(self.folder / "stream", "holed", "--mapping", self.folder / "map")
        gone = sorted((out / "s0").glob("*.arrow"))[0]
        gone.unlink()
        text = run("remap", out, "--out", self.folder / "r", "--memory", "96MiB", expect=1)
        self.assertIn(f"{gone.name}: is missing, the manifest lists it", text)
        text = run("remap", out, "--out", self.folder / "r2", "--memory", "96MiB", "--missing", "zero")
        self.assertIn("1 chunks or shards of the source are not there", text)


class Mappings(Inputs):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pairs = [(i, i % 5 + 1) for i in range(1, 200)]
        (cls.folder / "map").write_text("".join(f"{a} {b}\n" for a, b in cls.pairs))
        cls.mapped = cls.shards(cls.export(cls.folder / "plain.npy", "mapped", "--mapping", cls.folder / "map")[0])

    def mapping(self, data, *more, **options):
        path = self.folder / "odd"
        path.write_bytes(data)
        out, text = self.export(self.folder / "plain.npy", "odd_out", "--mapping", path, *more, **options)
        if not options.get("expect"):
            self.assertEqual(self.shards(out), self.mapped, data[:60])
        return text

    def test_text(self):
        lines = [f"{a},{b}" for a, b in self.pairs]
        for end in ("\n", "\r\n"):
            for tail in ("", end, 3 * end):
                self.mapping((end.join(lines) + tail).encode())
        body = "\n".join(lines)
        for head in ("\ufeff", "supervoxel,body\n", "\ufeffsupervoxel,body\r\n", "# made by hand\nsv body_id\n"):
            self.mapping((head + body).encode())
        self.mapping(gzip.compress(body.encode()) + bytes(100))
        for head, word in (("body,supervoxel\n", "says body before supervoxel"), ("left,right\n", "line 1: must be two numbers"),
                           ("1,2\nsupervoxel,body\n", "line 2: must be two numbers"), ("1,2,3\n", "line 1"), ("1,-2\n", "line 1")):
            self.assertRegex(self.mapping((head + body).encode(), expect=1), word)
        self.assertIn("longer than 64 KiB", self.mapping(b"1" * 100000, expect=1))
        self.assertIn("is packed with bzip2", self.mapping(bz2.compress(body.encode()), expect=1))
        self.assertIn("is HDF5", self.mapping(b"\x89HDF\r\n\x1a\n" + bytes(40), expect=1))

    def test_columns_of_32_bits(self):
        flat = [n for pair in self.pairs for n in pair]
        self.mapping(struct.pack(f"<{len(flat)}Q", *flat), "--mapping-format", "binary")
        self.mapping(struct.pack(f"<{len(flat)}I", *flat), "--mapping-format", "binary32")
        self.assertIn("ends within pair", self.mapping(struct.pack(f"<{len(flat)}I", *flat) + b"x", "--mapping-format", "binary32", expect=1))
        for kinds in (("uint32", "uint64"), ("int32", "uint32"), ("int64", "int64")):
            columns = {name: pyarrow.array([p[i] for p in self.pairs], kind) for i, (name, kind) in enumerate(zip(("supervoxel", "body"), kinds))}
            out = io.BytesIO()
            pyarrow.parquet.write_table(pyarrow.table(columns), out)
            self.mapping(out.getvalue())
        out = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table({"supervoxel": pyarrow.array([3, -1], "int32"), "body": pyarrow.array([1, 2], "int64")}), out)
        self.assertIn("row 1: supervoxel is negative", self.mapping(out.getvalue(), expect=1))


class Meaning(Inputs):
    """What an input says and we don't do is refused by its name; what is not there is counted."""

    def test_specs_that_ask_for_what_is_not_written(self):
        for change, word in (({"encoding": "raw"}, '"encoding": "raw" is not written'), ({"encoding": "jpeg"}, '"jpeg" is not written'),
                             ({"compressed_segmentation_block_size": [16, 16, 16]}, r'\[16,16,16\] is not written'),
                             ({"data_type": "uint32"}, '"uint32" is not written'), ({"num_channels": 3}, '"num_channels": 3 is not written'),
                             ({"type": "image"}, '"image" is not written')):
            info = json.loads(json.dumps(self.info))
            (info["scales"][0] if "encoding" in change or "compressed" in str(change) else info).update(change)
            spec = self.folder / "asks"
            spec.write_text(json.dumps(info))
            self.refused(word, self.folder / "plain.npy", "--to", "precomputed", spec=spec)

    def test_packed_chunks_of_a_folder(self):
        packs = {".gz": gzip.compress, ".zstd": exported.zstandard.ZstdCompressor().compress, ".zst": exported.zstandard.ZstdCompressor().compress}
        packs[".br"] = brotli
        for suffix, pack in packs.items():
            for chunk in ((64, 64, 64), (128, 64, 64), (40, 50, 60)):
                self.same(self.precomputed("packed", chunk, suffix, pack))
        for suffix in (".gz", ".zstd"):  # copied out of a bucket, under its own name
            self.same(self.precomputed("bare", (64, 64, 64), "", packs[suffix]))
        self.refused(r"\.bz2: is packed as its name says", self.precomputed("packed", (64, 64, 64), ".bz2", bz2.compress))
        bomb = lambda data: gzip.compress(bytes(1 << 22), 1)
        self.refused("gzip: more than", self.precomputed("bomb", (64, 64, 64), ".gz", bomb))

    def test_missing_chunks_are_counted_or_refused(self):
        volume = self.precomputed("holed")
        gone = sorted((volume / "8").iterdir())[:2]
        for path in gone:
            path.unlink()
        out, text = self.export(volume, "missing")
        self.assertIn("2 chunks or shards of the source are not there", text)
        manifest = json.loads((out / "manifest.json").read_text())
        self.assertEqual(manifest["input"]["missing"], 2)
        self.assertEqual(manifest["totals"]["blocks_in"] + 2, 3 * 2 * 2)
        self.assertIn('"missing"', (out / "report.json").read_text())
        self.assertIn("2 chunks or shards", run("run", volume, "--spec", self.spec, "--out", out, "--memory", "96MiB"))  # finished before
        self.refused("no such chunk .*--missing zero", volume, "--missing", "error")
        self.assertNotIn("not there", self.export(self.precomputed("whole"), "missing", "--missing", "error")[1])
        chunks, _ = self.export(self.folder / "plain.npy", "chunks", "--to", "precomputed")
        shard = sorted(chunks.glob("*/*.shard"))[0]
        shard.unlink()
        self.assertIn("of the source are not there", self.export(chunks, "missing")[1])
        self.refused("chunks are not there, as is .*shard", chunks, "--missing", "error")

    def test_expected_blocks(self):
        text = self.export(self.folder / "plain.npy", "expected", "--expect-blocks", 12)[1]
        self.assertIn("12 blocks in", text)
        self.refused("has 12 blocks, --expect-blocks says 13", self.folder / "plain.npy", "--expect-blocks", 13)


class Changes(Inputs):
    """An object that changes while it is read fails the run, naming it; files: the unit tests of each reader."""

    def test_a_chunk_that_is_served_anew(self):
        chunks, _ = self.export(self.folder / "plain.npy", "sharded", "--to", "precomputed")
        shard = sorted(chunks.glob("*/*.shard"))[0]
        for etags, dated in ((True, False), (False, True)):
            good = shard.read_bytes()
            with web.serve(self.folder) as server:
                server.etags, server.dated = etags, dated
                asked = []

                def rewrite(path, part):
                    if path.endswith(shard.name) and part:
                        asked.append(part)
                        if len(asked) == 3:  # the table and an index were read
                            other = shard.with_suffix(".new")
                            other.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
                            os.utime(other, (time.time() + 5, time.time() + 5))
                            other.rename(shard)
                server.on_request = rewrite
                self.refused(rf"{shard.name}: was changed while it was read", f"precomputed://{server.address}/sharded", expect=1)
                self.assertGreaterEqual(len(asked), 3)
            shard.write_bytes(good)


class Bounds(Inputs):
    """The largest hostile inputs, at --memory 64MiB in a group of 64 MiB."""

    def capped(self, word, source, *more, spec=None, expect=(1, 2, 3)):
        out = self.folder / "capped"
        shutil.rmtree(out, ignore_errors=True)
        command = [exported.SPILLWAY, "export", "run", source, "--spec", spec or self.spec, "--out", out, "--memory", "64MiB", "--threads", "2",
                   "--progress", "none", *more]
        outcome = memcap.run(list(map(str, command)), 64 << 20, capture=True)
        said = outcome.stderr.decode()
        self.assertIn(outcome.exit_code, expect, said)
        self.assertTrue(outcome.within, outcome.text())
        self.assertRegex(said, word)
        self.assertEqual(len(said.strip().splitlines()), 1, said[-2000:])
        return said

    def sparse(self, name, size, head=b""):
        path = self.folder / name
        with open(path, "wb") as out:
            out.write(head)
            out.truncate(size)
        return path

    def test_specs(self):
        self.capped("is longer than the 1048576 bytes", self.folder / "plain.npy", spec=self.sparse("huge", 4 << 30))
        for text in (b"[" * (1 << 20), b'{"":' * 262000, b'{"scales":[' + b"0," * 500000 + b"0]}", b'{"a":"' + b"x" * 1000000 + b'"}'):
            (self.folder / "hostile").write_bytes(text)
            self.capped("hostile: (is not a JSON object|has more than 65536 values|\"scales\")", self.folder / "plain.npy", spec=self.folder / "hostile")
            volume = fresh(self.folder / "hostile_volume")
            (volume / "info").write_bytes(text)
            self.capped("hostile_volume/info: ", volume)
        volume = fresh(self.folder / "hostile_volume")
        with open(volume / "info", "wb") as out:
            out.truncate(4 << 30)
        self.capped("is longer than 1048576 bytes", volume)

    def test_voxel_headers(self):
        head = b"\x93NUMPY\x02\x00" + struct.pack("<I", 0xFFFFFFF0) + b"{" * 100
        self.capped("header of 4294967280 bytes", self.sparse("a.npy", 4 << 30, head))
        zeros = io.BytesIO()
        with gzip.GzipFile(fileobj=zeros, mode="wb", compresslevel=9) as out:
            out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + b"{'descr': '<u8', 'fortran_order': False, 'shape': (110, 120, 140)}".ljust(117) + b"\n")
            for _ in range(256):
                out.write(bytes(1 << 20))
        (self.folder / "bomb.npy").write_bytes(zeros.getvalue())
        self.capped("bomb.npy: goes on, its shape and type end", self.folder / "bomb.npy")

    def test_mappings(self):
        self.capped("longer than 64 KiB", self.folder / "plain.npy", "--mapping", self.sparse("line", 2 << 30, b"1"))
        self.capped("is a device", self.folder / "plain.npy", "--mapping", "/dev/zero")

    def test_minishards(self):
        volume = self.precomputed("mini")
        info = json.loads((volume / "info").read_text())
        info["scales"][0]["sharding"] = {"@type": "neuroglancer_uint64_sharded_v1", "hash": "identity", "preshift_bits": 0, "minishard_bits": 0,
                                         "shard_bits": 0, "minishard_index_encoding": "raw", "data_encoding": "raw"}
        (volume / "info").write_text(json.dumps(info))
        with open(volume / "8/0.shard", "wb") as out:
            out.write(struct.pack("<QQ", 0, 1 << 40))
            out.truncate(1 << 41)
        self.capped("an index of 1099511627776 bytes; minishards of at most", volume)
        info["scales"][0]["sharding"]["minishard_index_encoding"] = "gzip"
        (volume / "info").write_text(json.dumps(info))
        packed = gzip.compress(bytes(1 << 24), 9)
        (volume / "8/0.shard").write_bytes(struct.pack("<QQ", 0, len(packed)) + packed)
        self.capped("(gzip: more than|minishards of at most)", volume)
        twice = numpy.array([[0, 0], [0, 0], [2097152, 2097152]], dtype="<u8").tobytes()
        info["scales"][0]["sharding"]["minishard_index_encoding"] = "raw"
        (volume / "info").write_text(json.dumps(info))
        (volume / "8/0.shard").write_bytes(struct.pack("<QQ", 1 << 22, (1 << 22) + len(twice)) + bytes(1 << 22) + twice)
        self.capped("ids must ascend", volume)

    def test_streams(self):
        for length, word in ((-1, "a length of -1"), (0x7FFFFFFF, "above the 3445776 of the largest block"), (3000000, "ends after")):
            path = self.sparse("stream", 1000, struct.pack("<4i", 0, 0, 0, length))
            self.capped(f"record at byte 0: .*{word}", path)
        self.capped("record at byte 16: ends within", self.sparse("stream", 20))


if __name__ == "__main__":
    exported.main(__doc__)
