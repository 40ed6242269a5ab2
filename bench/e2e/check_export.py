#!/usr/bin/env python3
"""Whether two exports hold the same voxels and labels, by independent readers; prints a digest of a sample.

    check_export.py arrow DIR INFO             rows of one block in 16, whatever the order and batches: pyarrow, zstandard
    check_export.py precomputed DIR ARROW_DIR  8 chunks by tensorstore against the blocks and labels of Arrow shards
    check_export.py volume DIR VOLUME.npy      8 chunks by tensorstore against the array
"""
import hashlib
import json
import random
import sys
from pathlib import Path

import numpy
import pyarrow as pa
import zstandard

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/data"))
import volumes  # noqa: E402


def rows_of(folder, wanted):
    for path in sorted(Path(folder).glob("s0/*.arrow")):
        for batch in pa.ipc.open_stream(pa.memory_map(str(path))):
            xyz = list(zip(*(batch.column(i).to_pylist() for i in range(3))))
            for i, at in enumerate(xyz):
                if wanted(at):
                    yield at, batch.column(3)[i].as_py(), batch.column(4)[i].as_py(), batch.column(5)[i].as_py()


def chunks(folder):
    import tensorstore
    store = tensorstore.open({"driver": "neuroglancer_precomputed", "kvstore": {"driver": "file", "path": str(folder)}}).result()
    size = store.shape[:3]
    make = random.Random(5)
    for _ in range(8):
        at = tuple(make.randrange((n + 63) // 64) for n in size)
        x, y, z = (64 * c for c in at)
        yield at, store[x:x + 64, y:y + 64, z:z + 64, 0].read().result().transpose(2, 1, 0)


def main() -> int:
    what, folder, other = sys.argv[1:]
    digest = hashlib.sha256()
    if what == "arrow":
        rows = sorted(rows_of(folder, lambda at: (at[0] * 7 + at[1] * 3 + at[2]) % 16 == 0))
        for at, labels, supervoxels, frame in rows:
            digest.update(repr((at, labels, supervoxels)).encode() + zstandard.ZstdDecompressor().decompress(frame))
    elif what == "volume":
        voxels = numpy.load(other, mmap_mode="r")
        for (x, y, z), chunk in chunks(folder):
            if not (voxels[z * 64:z * 64 + 64, y * 64:y * 64 + 64, x * 64:x * 64 + 64] == chunk).all():
                sys.exit(f"chunk {x},{y},{z} differs")
            digest.update(chunk.tobytes())
    else:
        met = dict(chunks(folder))
        for at, labels, supervoxels, frame in rows_of(other, lambda at: at in met):
            block = volumes.decode(zstandard.ZstdDecompressor().decompress(frame))
            bodies = dict(zip(supervoxels, labels))
            values, inverse = numpy.unique(block, return_inverse=True)
            want = numpy.array([bodies[v] for v in values.tolist()], dtype=numpy.uint64)[inverse].reshape(block.shape)
            if not (met.pop(at) == want).all():
                sys.exit(f"chunk {at} differs")
        if any(chunk.any() for chunk in met.values()):
            sys.exit(f"chunks {sorted(met)} are not in {other}")
    print(f"digest {digest.hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
