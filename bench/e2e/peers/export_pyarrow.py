#!/usr/bin/env python3
"""What one writes in an afternoon: pyarrow, zlib and zstandard, one thread.

    export_pyarrow.py run STREAM INFO MAP.bin OUT [--gather]    a blocks stream to Arrow shards and CSV indexes
    export_pyarrow.py remap DIR MAP.bin OUT                     the same blocks with another mapping

`run` writes rows in the order of arrival; with --gather it holds all rows and writes them in ZYX order. Prints "rows N".
"""
import json
import os
import struct
import sys
import zlib
from pathlib import Path

import numpy
import pyarrow as pa
import zstandard

LIST = pa.list_(pa.field("item", pa.uint64(), True))
BLOCK = pa.field("dvid_compressed_block", pa.binary(), False, {"compression": "true", "codec": "zstd"})
SCHEMA = pa.schema([pa.field(f"chunk_{c}", pa.int32(), False) for c in "xyz"]
                   + [pa.field("labels", LIST, False), pa.field("supervoxels", LIST, False), BLOCK,
                      pa.field("uncompressed_size", pa.uint32(), False)])


class Shard:
    def __init__(self, path: Path, batch_size: int):
        self.batch_size, self.rows = batch_size, []
        self.sink = pa.OSFile(str(path), "wb")
        self.writer = pa.ipc.new_stream(self.sink, SCHEMA)
        self.csv = open(path.with_suffix(".csv"), "w")
        self.csv.write(f"# schema_size={self.sink.tell()}\nx,y,z,offset,size,batch_idx\n")

    def add(self, row):
        self.rows.append(row)
        if len(self.rows) == self.batch_size:
            self.flush()

    def flush(self):
        x, y, z, *rest = zip(*self.rows)
        begin = self.sink.tell()
        arrays = [pa.array(column, field.type) for column, field in zip((x, y, z, *rest), SCHEMA)]
        self.writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
        size = self.sink.tell() - begin
        self.csv.writelines(f"{a},{b},{c},{begin},{size},{i}\n" for i, (a, b, c) in enumerate(zip(x, y, z)))
        self.rows = []

    def close(self):
        if self.rows:
            self.flush()
        self.writer.close()
        self.sink.close()
        self.csv.close()


def cell_shape(info):
    scale = info["scales"][0]
    grid = [(n + 63) // 64 for n in scale["size"]]
    used, bits = [0, 0, 0], scale["sharding"]["preshift_bits"] + scale["sharding"]["minishard_bits"]
    while bits > 0 and any((1 << u) < n for u, n in zip(used, grid)):
        for d in range(3):
            if bits > 0 and (1 << used[d]) < grid[d]:
                used[d] += 1
                bits -= 1
    return [min(n, 1 << u) for u, n in zip(used, grid)]


def run(stream, info, mapping, out, gather):
    info = json.loads(Path(info).read_text())
    shape, batch_size = cell_shape(info), info.get("batch_size", 1)
    pairs = numpy.fromfile(mapping, "<u8").reshape(-1, 2)
    bodies = dict(zip(pairs[:, 0].tolist(), pairs[:, 1].tolist()))
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    folder, shards, rows, held = Path(out) / "s0", {}, 0, {}
    folder.mkdir(parents=True)
    with open(stream, "rb", buffering=1 << 20) as source:
        while head := source.read(16):
            x, y, z, length = struct.unpack("<iiii", head)
            block = zlib.decompress(source.read(length), 31)
            count = struct.unpack_from("<I", block, 12)[0]
            supervoxels = struct.unpack_from(f"<{count}Q", block, 16)
            labels = [bodies.get(i, i) for i in supervoxels]
            if not any(labels):
                continue
            rows += 1
            cell = tuple(c // s * s * 64 for c, s in zip((x, y, z), shape))
            row = (x, y, z, labels, supervoxels, compressor.compress(block), len(block))
            if gather:
                held.setdefault(cell, []).append(row)
                continue
            if cell not in shards:
                shards[cell] = Shard(folder / ("%d_%d_%d.arrow" % cell), batch_size)
            shards[cell].add(row)
    for shard in shards.values():
        shard.close()
    for cell, of_cell in held.items():
        shard = Shard(folder / ("%d_%d_%d.arrow" % cell), batch_size)
        for row in sorted(of_cell, key=lambda r: (r[2], r[1], r[0])):
            shard.add(row)
        shard.close()
    return rows


def remap(source, mapping, out):
    pairs = numpy.fromfile(mapping, "<u8").reshape(-1, 2)
    pairs = pairs[numpy.argsort(pairs[:, 0])]
    ids, bodies = numpy.ascontiguousarray(pairs[:, 0]), numpy.ascontiguousarray(pairs[:, 1])
    folder, rows = Path(out) / "s0", 0
    folder.mkdir(parents=True)
    for path in sorted(Path(source).glob("s0/*.arrow")):
        with pa.OSFile(str(path)) as file, pa.OSFile(str(folder / path.name), "wb") as sink, \
                open(folder / path.with_suffix(".csv").name, "w") as csv:
            reader = pa.ipc.open_stream(file)
            writer = pa.ipc.new_stream(sink, SCHEMA)
            csv.write(f"# schema_size={sink.tell()}\nx,y,z,offset,size,batch_idx\n")
            for batch in reader:
                old = batch.column("supervoxels")
                values = old.flatten().to_numpy()
                at = numpy.minimum(numpy.searchsorted(ids, values), len(ids) - 1)
                new = numpy.where(ids[at] == values, bodies[at], values)
                begins = old.offsets.to_numpy()[:-1] - old.offsets[0].as_py()
                kept = numpy.logical_or.reduceat(new != 0, begins)
                columns = batch.columns
                columns[3] = pa.ListArray.from_arrays(pa.array(old.offsets.to_numpy() - old.offsets[0].as_py(), pa.int32()), pa.array(new))
                batch = pa.RecordBatch.from_arrays([c.cast(f.type) for c, f in zip(columns, SCHEMA)], schema=SCHEMA)
                if not kept.all():
                    batch = batch.filter(pa.array(kept))
                if batch.num_rows == 0:
                    continue
                begin = sink.tell()
                writer.write_batch(batch)
                size = sink.tell() - begin
                xyz = zip(*(batch.column(i).to_pylist() for i in range(3)))
                csv.writelines(f"{x},{y},{z},{begin},{size},{i}\n" for i, (x, y, z) in enumerate(xyz))
                rows += batch.num_rows
            writer.close()
    return rows


def main() -> int:
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    words = [word for word in sys.argv[1:] if word != "--gather"]
    rows = run(*words[1:], gather="--gather" in sys.argv) if words[0] == "run" else remap(*words[1:])
    print(f"rows {rows}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
