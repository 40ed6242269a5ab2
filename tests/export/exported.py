"""What the export tests share: their command line, running `spillway export`, comparing folders, reading shards by pyarrow."""
import argparse
import csv
import hashlib
import os
import pathlib
import resource
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "data"))
sys.path.insert(0, str(HERE.parent / "memcap"))

try:
    import numpy
    import pyarrow.ipc
    import volumes
    import zstandard
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(77)

# Of main():
SPILLWAY = ""           # the binary under test
WORK = pathlib.Path()   # a folder of this process's own
DATA = None
MAKE_BLOCKS = None
MAY_DIFFER = {"report.json", "report.html"}


def run(*words, expect=0, files=None, file_size=None, progress=True, **more):
    """`spillway export WORDS`; returns what it said. `files`, `file_size`: RLIMIT_NOFILE and RLIMIT_FSIZE."""
    def limit():
        if files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        if file_size:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, resource.RLIM_INFINITY))
    if "input" in more:
        more["text"] = False
    done = subprocess.run([SPILLWAY, "export", *map(str, words), *(["--progress", "none"] if progress else [])],
                          capture_output=True, preexec_fn=limit, **{"text": True, **more})
    said = done.stdout + done.stderr
    said = said if isinstance(said, str) else said.decode()
    wanted = expect if isinstance(expect, tuple) else (expect,)
    assert done.returncode in wanted, f"exit {done.returncode}: {said}"
    return said


def tree(folder: pathlib.Path) -> dict:
    """The SHA-256 of every file that must repeat, by name."""
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in MAY_DIFFER}


def read_shard(path: pathlib.Path):
    """All rows of a shard by pyarrow, checked against the CSV byte for byte."""
    data = path.read_bytes()
    lines = path.with_suffix(".csv").read_text().splitlines()
    schema_size = int(lines[0].removeprefix("# schema_size="))
    rows = list(csv.DictReader(lines[1:]))
    schema = pyarrow.ipc.read_schema(pyarrow.py_buffer(data[:schema_size]))
    assert [f.name for f in schema] == ["chunk_x", "chunk_y", "chunk_z", "labels", "supervoxels",
                                        "dvid_compressed_block", "uncompressed_size"]
    assert schema.field("dvid_compressed_block").metadata == {b"compression": b"true", b"codec": b"zstd"}
    assert not any(f.nullable for f in schema) and schema.field("labels").type.value_field.nullable
    table = pyarrow.ipc.open_stream(data).read_all()
    table.validate(full=True)
    assert table.num_rows == len(rows)
    for index, row in enumerate(rows):
        begin, size = int(row["offset"]), int(row["size"])
        batch = pyarrow.ipc.read_record_batch(pyarrow.py_buffer(data[begin:begin + size]), schema)
        at = batch.slice(int(row["batch_idx"]), 1).to_pylist()[0]
        assert (at["chunk_x"], at["chunk_y"], at["chunk_z"]) == tuple(int(row[k]) for k in "xyz"), index
    return table.to_pylist()


def voxels_of_shards(folder, shape):
    """The (Z, Y, X) voxels of all shards of s<S>, blocks decoded by the tests' own decoder; 0 outside."""
    got = numpy.zeros([(n + 63) // 64 * 64 for n in shape], dtype=numpy.uint64)
    for path in folder.glob("*.arrow"):
        for row in read_shard(path):
            block = volumes.decode(zstandard.ZstdDecompressor().decompress(row["dvid_compressed_block"]))
            z, y, x = (row[f"chunk_{c}"] * 64 for c in "zyx")
            got[z:z + 64, y:y + 64, x:x + 64] = block
    assert not got[shape[0]:].any() and not got[:, shape[1]:].any() and not got[:, :, shape[2]:].any()
    return got[:shape[0], :shape[1], :shape[2]]


def run_spec(source, *more):
    done = subprocess.run([SPILLWAY, "export", "spec", str(source), "--target-shard-size", "64KiB", *map(str, more)],
                          capture_output=True, text=True, check=True)
    return done.stdout


def main(description):
    """The tests of the script that calls it, or those named behind the options."""
    global SPILLWAY, WORK, DATA, MAKE_BLOCKS
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--spillway", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--make-blocks", type=pathlib.Path, help="the program tests/data/make_blocks.cpp")
    parser.add_argument("--data", type=pathlib.Path, help="a folder with blocks/fib19-*: not part of the repository")
    options, rest = parser.parse_known_args()
    SPILLWAY, DATA, MAKE_BLOCKS = os.path.abspath(options.spillway), options.data, options.make_blocks
    WORK = options.work.absolute() / pathlib.Path(sys.argv[0]).stem / "_".join(rest or ["all"])
    WORK.mkdir(parents=True, exist_ok=True)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
