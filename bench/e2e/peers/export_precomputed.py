#!/usr/bin/env python3
"""A .npy volume (Z, Y, X; uint64) to a sharded compressed_segmentation volume, by cloud-volume or by tensorstore.

    export_precomputed.py cloud-volume|tensorstore VOLUME.npy INFO OUT

cloud-volume makes one shard at a time from voxels that are held (make_shard), tensorstore writes one shard's box at a time.
The array is in memory before the clock starts. Prints "chunks N seconds S".
"""
import json
import sys
import time
from pathlib import Path

import numpy


def boxes(info):
    """The boxes of the shards, in voxels: identity hash, grids that are powers of two."""
    scale = info["scales"][0]
    grid = [(n + 63) // 64 for n in scale["size"]]
    used, bits = [0, 0, 0], scale["sharding"]["preshift_bits"] + scale["sharding"]["minishard_bits"]
    while bits > 0 and any((1 << u) < n for u, n in zip(used, grid)):
        for d in range(3):
            if bits > 0 and (1 << used[d]) < grid[d]:
                used[d] += 1
                bits -= 1
    shape = [min(n, 1 << u) * 64 for u, n in zip(used, grid)]
    for z in range(0, scale["size"][2], shape[2]):
        for y in range(0, scale["size"][1], shape[1]):
            for x in range(0, scale["size"][0], shape[0]):
                yield (x, y, z), [min(a + s, n) for a, s, n in zip((x, y, z), shape, scale["size"])]


def cloud_volume(voxels, info, out):
    from cloudvolume import CloudVolume
    volume = CloudVolume(f"file://{out}", info=info, progress=False, parallel=1, compress=False)
    volume.commit_info()
    folder = Path(out) / info["scales"][0]["key"]
    folder.mkdir(parents=True, exist_ok=True)
    for begin, end in boxes(info):
        part = voxels[begin[0]:end[0], begin[1]:end[1], begin[2]:end[2], numpy.newaxis]
        from cloudvolume.lib import Bbox
        name, shard = volume.image.make_shard(part, Bbox(begin, end), mip=0, progress=False)
        (folder / name).write_bytes(shard)


def tensor_store(voxels, info, out):
    import tensorstore
    scale = info["scales"][0]
    store = tensorstore.open({
        "driver": "neuroglancer_precomputed", "kvstore": {"driver": "file", "path": str(out)}, "create": True,
        "context": {"data_copy_concurrency": {"limit": 1}, "file_io_concurrency": {"limit": 1}},
        "multiscale_metadata": {"type": "segmentation", "data_type": "uint64", "num_channels": 1},
        "scale_metadata": {"key": scale["key"], "size": scale["size"], "resolution": scale["resolution"],
                           "voxel_offset": scale["voxel_offset"], "chunk_size": scale["chunk_sizes"][0],
                           "encoding": "compressed_segmentation", "compressed_segmentation_block_size": [8, 8, 8],
                           "sharding": scale["sharding"]}}).result()
    for begin, end in boxes(info):
        part = voxels[begin[0]:end[0], begin[1]:end[1], begin[2]:end[2], numpy.newaxis]
        with tensorstore.Transaction() as transaction:
            store.with_transaction(transaction)[begin[0]:end[0], begin[1]:end[1], begin[2]:end[2]] = part


def main() -> int:
    who, source, info, out = sys.argv[1:]
    info = json.loads(Path(info).read_text())
    info.pop("batch_size", None)
    voxels = numpy.ascontiguousarray(numpy.load(source)).transpose(2, 1, 0)
    start = time.monotonic()
    (cloud_volume if who == "cloud-volume" else tensor_store)(voxels, info, out)
    chunks = 1
    for n in info["scales"][0]["size"]:
        chunks *= (n + 63) // 64
    print(f"chunks {chunks} seconds {time.monotonic() - start:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
