#!/usr/bin/env python3
"""Makes label blocks, blocks streams, mappings and info files that look like a real segmentation. Needs numpy.

Sub-block palettes: 60 % solid, 22 % of 1 bit, 15 % of 2 bits, 3 % of 3 bits; 24 labels a block; the borders between labels
are nearly axis-parallel cuts. A block has about 24.5 KB, 2.9 to 3.3 KB with gzip.

As a command: volumes.py STREAM SPEC MAPPING --grid X,Y,Z [--order zyx|shuffled|reversed] [--worst N] [--seed S]
"""
import argparse
import gzip
import json
import struct
import zlib

import numpy

SIDE = 64
PALETTES = ((1, 0.60), (2, 0.22), (4, 0.15), (8, 0.03))


def encode(voxels: numpy.ndarray) -> bytes:
    """The canonical label block of a (64, 64, 64) ZYX array: an encoder that shares nothing with the program's."""
    voxels = numpy.ascontiguousarray(voxels, dtype=numpy.uint64)
    gz, gy, gx = (n // 8 for n in voxels.shape)
    unique, first = numpy.unique(voxels.reshape(-1), return_index=True)
    labels = unique[numpy.argsort(first)]
    head = struct.pack("<IIII", gx, gy, gz, len(labels)) + labels.astype("<u8").tobytes()
    if len(labels) == 1:
        return head
    order = numpy.empty(len(unique), dtype="<u4")
    order[numpy.argsort(first)] = numpy.arange(len(unique))
    subs = voxels.reshape(gz, 8, gy, 8, gx, 8).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 512)
    sizes, indices, packed = [], [], []
    for sub in subs:
        values, at, inverse = numpy.unique(sub, return_index=True, return_inverse=True)
        by_first = numpy.argsort(at)
        rank = numpy.empty(len(values), dtype=numpy.uint32)
        rank[by_first] = numpy.arange(len(values))
        sizes.append(len(values))
        indices.append(order[numpy.searchsorted(unique, values[by_first])])
        bits = int(len(values) - 1).bit_length()
        if bits:
            places = (rank[inverse].reshape(-1, 1) >> numpy.arange(bits - 1, -1, -1)) & 1
            packed.append(numpy.packbits(places.astype(numpy.uint8).reshape(-1)).tobytes())
    return (head + numpy.array(sizes, dtype="<u2").tobytes() + numpy.concatenate(indices).astype("<u4").tobytes()
            + b"".join(packed))


def decode(block: bytes) -> numpy.ndarray:
    """The (64, 64, 64) ZYX voxels of a block, written from the format's description."""
    gx, gy, gz, count = struct.unpack_from("<IIII", block)
    labels = numpy.frombuffer(block, "<u8", count, 16)
    if count == 1:
        return numpy.full((gz * 8, gy * 8, gx * 8), labels[0], dtype=numpy.uint64)
    subs = gx * gy * gz
    sizes = numpy.frombuffer(block, "<u2", subs, 16 + 8 * count).astype(int)
    at = 16 + 8 * count + 2 * subs
    indices = numpy.frombuffer(block, "<u4", sizes.sum(), at)
    at += 4 * int(sizes.sum())
    out = numpy.zeros((subs, 512), dtype=numpy.uint64)
    begin = 0
    for sub, size in enumerate(sizes):
        palette = labels[indices[begin:begin + size]]
        begin += size
        bits = int(size - 1).bit_length() if size > 1 else 0
        if size == 1:
            out[sub] = palette[0]
        elif bits:
            places = numpy.unpackbits(numpy.frombuffer(block, numpy.uint8, 64 * bits, at)).reshape(512, bits)
            at += 64 * bits
            out[sub] = palette[places.astype(int) @ (1 << numpy.arange(bits - 1, -1, -1))]
    assert at == len(block)
    return (out.reshape(gz, gy, gx, 8, 8, 8).transpose(0, 3, 1, 4, 2, 5).reshape(gz * 8, gy * 8, gx * 8))


def realistic_voxels(random: numpy.random.Generator) -> numpy.ndarray:
    """Label numbers 0..23, to be replaced by ids."""
    z, y, x = numpy.meshgrid(*[numpy.arange(8)] * 3, indexing="ij")
    subs = numpy.empty((512, 8, 8, 8), dtype=numpy.uint64)
    sizes = random.choice([p for p, _ in PALETTES], size=512, p=[share for _, share in PALETTES])
    for sub, size in enumerate(sizes):
        names = random.choice(24, size=size, replace=False)
        region = numpy.zeros((8, 8, 8), dtype=int)
        for cut in range(int(size - 1).bit_length()):
            axis = (sub + cut) % 3
            tilt = random.normal(0, 0.03, 3)
            tilt[axis] = 1
            plane = tilt[0] * z + tilt[1] * y + tilt[2] * x - random.integers(2, 7) + 0.5
            region = region * 2 + (plane > 0)
        subs[sub] = names[region]
    subs[0].reshape(-1)[:24] = numpy.arange(24)  # every label occurs
    return subs.reshape(8, 8, 8, 8, 8, 8).transpose(0, 3, 1, 4, 2, 5).reshape(64, 64, 64)


class Blocks:
    """Blocks by number: templates with other ids in the table."""

    def __init__(self, seed: int = 1, templates: int = 24, ids: int = 1_000_000, worst_every: int = 0):
        random = numpy.random.default_rng(seed)
        self.templates = [encode(realistic_voxels(random)) for _ in range(templates)]
        self.seed, self.ids, self.worst_every = seed, ids, worst_every
        self.worst = encode(numpy.arange(1, SIDE**3 + 1, dtype=numpy.uint64).reshape(64, 64, 64) * 7) if worst_every else b""

    def block(self, number: int) -> bytes:
        if self.worst_every and number % self.worst_every == self.worst_every // 2:
            return self.worst
        template = self.templates[number % len(self.templates)]
        count = struct.unpack_from("<I", template, 12)[0]
        random = numpy.random.default_rng((self.seed, number))
        labels = numpy.sort(random.choice(self.ids, size=count, replace=False).astype("<u8")) + 1
        random.shuffle(labels)
        return template[:16] + labels.tobytes() + template[16 + 8 * count:]


def record(at, payload: bytes) -> bytes:
    return struct.pack("<iiii", *at, len(payload)) + payload


def records(path):
    """The blocks of a stream: ((x, y, z), payload)."""
    with open(path, "rb") as stream:
        while head := stream.read(16):
            *at, length = struct.unpack("<4i", head)
            yield tuple(at), stream.read(length)


def packed(block: bytes) -> bytes:
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    return compressor.compress(block) + compressor.flush()


def info(size, preshift=3, minishard=3, shard_bits=20, offset=(0, 0, 0), hash="identity", **more) -> dict:
    """An info for one scale; `size` in voxels."""
    return {
        "@type": "neuroglancer_multiscale_volume", "type": "segmentation", "data_type": "uint64", "num_channels": 1,
        "scales": [{
            "key": "8_8_8", "size": list(size), "resolution": [8, 8, 8], "voxel_offset": list(offset),
            "chunk_sizes": [[64, 64, 64]], "encoding": "compressed_segmentation",
            "compressed_segmentation_block_size": [8, 8, 8],
            "sharding": {"@type": "neuroglancer_uint64_sharded_v1", "hash": hash, "preshift_bits": preshift,
                         "minishard_bits": minishard, "shard_bits": shard_bits,
                         "minishard_index_encoding": "raw", "data_encoding": "raw"},
        }], **more}


def order_of(count: int, order: str, seed: int = 1) -> list[int]:
    numbers = list(range(count))
    if order == "reversed":
        numbers.reverse()
    elif order == "shuffled":
        numpy.random.default_rng(seed).shuffle(numbers)
    return numbers


def at_of(number: int, grid) -> tuple[int, int, int]:
    return number % grid[0], number // grid[0] % grid[1], number // (grid[0] * grid[1])


def write_stream(path: str, blocks: Blocks, grid, order: str = "shuffled") -> None:
    with open(path, "wb") as out:
        for number in order_of(grid[0] * grid[1] * grid[2], order, blocks.seed):
            out.write(record(at_of(number, grid), packed(blocks.block(number))))


def write_mapping(path: str, ids: int = 1_000_000, seed: int = 3, text: bool = True) -> numpy.ndarray:
    """Maps 1..ids to bodies, some to 0; returns the bodies with index = id."""
    random = numpy.random.default_rng(seed)
    bodies = random.integers(1, 1 << 40, size=ids + 1, dtype=numpy.uint64)
    bodies[random.random(ids + 1) < 0.05] = 0
    bodies[0] = 0
    if text:
        with (gzip.open(path, "wt", compresslevel=1) if path.endswith(".gz") else open(path, "w")) as out:
            out.write("# supervoxel body\n")
            for i in range(1, ids + 1):
                out.write(f"{i} {bodies[i]}\n")
    else:
        pairs = numpy.empty((ids, 2), dtype="<u8")
        pairs[:, 0] = numpy.arange(1, ids + 1)
        pairs[:, 1] = bodies[1:]
        pairs.tofile(path)
    return bodies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stream")
    parser.add_argument("spec")
    parser.add_argument("mapping")
    parser.add_argument("--grid", default="16,16,16")
    parser.add_argument("--order", default="shuffled", choices=["zyx", "shuffled", "reversed"])
    parser.add_argument("--worst", type=int, default=0, help="every N-th block is the worst one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ids", type=int, default=1_000_000)
    options = parser.parse_args()
    grid = tuple(int(n) for n in options.grid.split(","))
    write_stream(options.stream, Blocks(options.seed, ids=options.ids, worst_every=options.worst), grid, options.order)
    with open(options.spec, "w") as out:
        json.dump(info([n * SIDE for n in grid]), out, indent=1)
    write_mapping(options.mapping, options.ids)


if __name__ == "__main__":
    main()
