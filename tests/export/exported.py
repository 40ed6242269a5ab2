"""What the tests of `spillway export` share: running it, and reading its output with pyarrow and the tests' own decoder."""
import csv
import hashlib
import pathlib
import resource
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "data"))

try:
    import numpy
    import pyarrow.ipc
    import volumes
    import zstandard
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(77)

SPILLWAY = ""  # the binary; set by the test's main


def run(*words, expect=0, files=None, progress=True, **more):
    def limit():
        if files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    done = subprocess.run([SPILLWAY, "export", *map(str, words), *(["--progress", "none"] if progress else [])], capture_output=True, text=True,
                          preexec_fn=limit, **more)
    assert done.returncode == expect, f"exit {done.returncode}: {done.stderr}{done.stdout}"
    return done.stdout + done.stderr


def tree(folder: pathlib.Path) -> dict:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "report.json"}


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
