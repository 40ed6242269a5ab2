#!/usr/bin/env python3
"""What `transform apply` carries and reads, compared with other readers: pyarrow, and Python's own codecs.

Every type that Parquet has goes through apply, and the merge of two files, and is read back by pyarrow: the same values and
the same types. Texts packed and encoded in every way give the same bytes of output.
"""
import argparse
import bz2
import datetime
import decimal
import gzip
import pathlib
import random
import subprocess
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

PARSER = argparse.ArgumentParser(description=__doc__)
PARSER.add_argument("--spillway", type=pathlib.Path, required=True)
PARSER.add_argument("--work", type=pathlib.Path, required=True)
ARGS = PARSER.parse_args()
ROWS = 5000


def run(*words, exit_code=0):
    done = subprocess.run([ARGS.spillway, "transform", *map(str, words), "--memory", "96MiB",
                           *(() if words[0] == "verify" else ("--progress", "none"))], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == exit_code, (words, done.returncode, done.stdout, done.stderr)
    return done


def apply(path, out, *more, **how):
    return run("apply", path, "--rule", "FG_PHENOL_OH__OH__TO__OMe", "--out", out, "--overwrite", *more, **how)


def maybe(rng, make):
    return None if rng.random() < 0.2 else make()


def columns(rng):
    """Name to (type, values); a third of the lists are empty, a fifth of everything is null."""
    def some(make, least=0):
        return lambda: [maybe(rng, make) for _ in range(max(least, rng.choice([0, 0, 1, 2, 5])))]

    def number():
        return rng.randrange(-2**31, 2**31)

    def text():
        return rng.choice(["", "a", "ä€😀", "x" * 300])

    stamp = datetime.datetime(2024, 2, 29, 12, 30, 1, 123456)
    utc = stamp.replace(tzinfo=datetime.timezone.utc)
    point = pa.struct([("x", pa.int32()), pa.field("y", pa.string()), ("z", pa.list_(pa.float64()))])

    def a_point():
        return {"x": maybe(rng, number), "y": maybe(rng, text), "z": maybe(rng, some(rng.random))}

    makes = {
        "null": (pa.null(), lambda: None),
        "bool": (pa.bool_(), lambda: rng.random() < 0.5),
        "i8": (pa.int8(), lambda: rng.randrange(-128, 128)),
        "half": (pa.float16(), lambda: rng.choice([0.5, -2.0, 1024.0])),
        "date": (pa.date32(), lambda: stamp.date()),
        "date64": (pa.date64(), lambda: stamp.date()),
        "time32": (pa.time32("ms"), lambda: datetime.time(1, 2, 3, 4000)),
        "time64": (pa.time64("us"), lambda: stamp.time()),
        "ts_s": (pa.timestamp("s"), lambda: stamp.replace(microsecond=0)),
        "ts_ms": (pa.timestamp("ms"), lambda: stamp.replace(microsecond=123000)),
        "ts_us": (pa.timestamp("us"), lambda: stamp),
        "ts_ns": (pa.timestamp("ns"), lambda: stamp),
        "ts_tz": (pa.timestamp("us", "Europe/Berlin"), lambda: utc),
        "duration": (pa.duration("us"), lambda: datetime.timedelta(microseconds=number())),
        "dec": (pa.decimal128(12, 3), lambda: decimal.Decimal(number()).scaleb(-3)),
        "dec256": (pa.decimal256(60, 5), lambda: decimal.Decimal(number() ** 5).scaleb(-5)),
        "binary": (pa.binary(), lambda: bytes(rng.randrange(256) for _ in range(rng.randrange(9)))),
        "fixed": (pa.binary(7), lambda: b"\xff\x00abcde"),
        "list": (pa.list_(pa.int32()), some(number)),
        "list_required": (pa.list_(pa.field("item", pa.int64(), False)), lambda: [number()] * rng.randrange(3)),
        "large_list": (pa.large_list(pa.large_string()), some(text)),
        "lists": (pa.list_(pa.list_(pa.string())), some(some(text))),
        "bools": (pa.list_(pa.bool_()), some(lambda: rng.random() < 0.5)),
        "three": (pa.list_(pa.float32(), 3), lambda: [0.5, maybe(rng, lambda: 1.5), -1.0]),
        "struct": (point, a_point),
        "points": (pa.list_(point), some(a_point)),
        "map": (pa.map_(pa.string(), pa.list_(pa.int16())),
                lambda: [(str(i), maybe(rng, some(lambda: 7))) for i in range(rng.randrange(3))]),
        "nested": (pa.struct([pa.field("deep", pa.struct([pa.field("er", pa.timestamp("ms", "UTC"), False)]))]),
                   lambda: {"deep": maybe(rng, lambda: {"er": utc.replace(microsecond=0)})}),
        "dict": (pa.dictionary(pa.int32(), pa.string()), text),
        "dict_bytes": (pa.dictionary(pa.int8(), pa.binary()), lambda: rng.choice([b"a", b"\xff"])),
    }
    made = {}
    for name, (kind, make) in makes.items():
        nulls = name not in ("three",)  # pyarrow itself reads no null lists of a fixed size
        made[name] = pa.array([maybe(rng, make) if nulls else make() for _ in range(ROWS)], kind)
    made["required"] = pa.array([stamp] * ROWS, pa.timestamp("us"))
    return made


def plain(kind):
    """The type that a dictionary is of: apply writes it as its values."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def every_type_is_carried(folder):
    rng = random.Random(20)
    smiles = [f"Oc1ccc({'C' * (i % 50 + 1)})cc1{'N' * (i // 50)}" for i in range(ROWS)]
    made = columns(rng)
    fields = [pa.field("smiles", pa.string())] + [pa.field(name, values.type, name != "required")
                                                  for name, values in made.items()]
    table = pa.table([pa.array(smiles), *made.values()], schema=pa.schema(fields))
    pq.write_table(table, folder / "in.parquet", row_group_size=777)
    apply(folder / "in.parquet", folder / "out.parquet", "--carry", "all")
    run("merge", folder / "out.parquet", "--out", folder / "merged.parquet")
    before = pq.read_table(folder / "in.parquet")
    for name in ("out", "merged"):
        after = pq.read_table(folder / f"{name}.parquet").sort_by("source_row")
        assert after.num_rows == ROWS, after.num_rows
        rows = after["source_row"]
        for column in made:
            kind = plain(before.schema.field(column).type)
            assert after.schema.field(column).type == kind, (column, after.schema.field(column).type, kind)
            assert after.schema.field(column).nullable == (column != "required"), column
            got, want = after[column].to_pylist(), before[column].to_pylist()
            wrong = [i for i, row in enumerate(rows.to_pylist()) if got[i] != want[row]]
            assert not wrong, (name, column, wrong[0], got[wrong[0]], want[rows[wrong[0]].as_py()])
    run("verify", folder / "merged.parquet")


def views_and_extensions_are_what_they_hold(folder):
    arrays = {
        "list": pa.array([[1, None], None], pa.list_view(pa.int32())),
        "large": pa.array([[], ["a"]], pa.large_list_view(pa.string_view())),
        "text": pa.array(["a", None], pa.string_view()),
        "uuid": pa.array([b"a" * 16, None], pa.uuid()),
        "list_of_uuid": pa.ListArray.from_arrays([0, 1, 1], pa.array([b"a" * 16], pa.uuid())),
    }
    pq.write_table(pa.table({"smiles": ["Oc1ccccc1", "Oc1ccccc1C"], **arrays}), folder / "views.parquet")
    apply(folder / "views.parquet", folder / "x.parquet", "--carry", "all", "--order", "input")
    after = pq.read_table(folder / "x.parquet").sort_by("source_row")
    assert after["list"].to_pylist() == [[1, None], None] and after["large"].to_pylist() == [[], ["a"]]
    assert after["text"].to_pylist() == ["a", None] and after["uuid"].to_pylist() == [b"a" * 16, None]
    assert after["list_of_uuid"].to_pylist() == [[b"a" * 16], []]


def bytes_that_are_no_utf8_are_a_refused_row(folder):
    def bad(count, at):
        texts = pa.array([b"good"] * at + [b"\xe9t\xe9"] + [b"fine"] * (count - at - 1))
        return pa.Array.from_buffers(pa.string(), count, texts.buffers())

    text = bad(6, 2)
    table = pa.table({"smiles": ["Oc1ccccc1"] * 6, "n": text, "s": pa.StructArray.from_arrays([bad(6, 4)], ["t"])})
    pq.write_table(table, folder / "bad.parquet")
    done = apply(folder / "bad.parquet", folder / "good.parquet", "--carry", "all", "--rejects", folder / "r.tsv")
    assert done.stdout.startswith("6 rows: 4 with products, 0 without a site, 2 refused"), done.stdout
    lines = (folder / "r.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[1] for line in lines] == ["2", "4"], lines
    pq.read_table(folder / "good.parquet").validate(full=True)


def text_is_the_same_however_it_is_packed_and_encoded(folder):
    lines = "".join(f"Oc1ccc({'C' * (i % 40 + 1)})cc1 phénol n° {i}\n" for i in range(20000))
    csv = "smiles,name\n" + "".join(f"{smiles},{name}\n" for smiles, name in
                                    (line.split(" ", 1) for line in lines.splitlines()))
    tsv = csv.replace(",", "\t")
    forms = {
        "a.smi": lines.encode(),
        "b.SMI.GZ": gzip.compress(lines.encode()),
        "c.smi.bz2": bz2.compress(lines[:100000].encode()) + bz2.compress(lines[100000:].encode()),
        "d.smi.zst": zstandard.ZstdCompressor(level=19).compress(lines.encode()),
        "e.smi": lines.encode("utf-16"),
        "f.smi": b"\xfe\xff" + lines.encode("utf-16-be"),
        "g.smi.gz": gzip.compress(b"\xff\xfe" + lines.encode("utf-16-le")),
        "h.smi": lines.replace("\n", "\r").encode(),
        "i.smi": lines.replace("\n", "\r\n").encode("utf-8-sig"),
        "j.csv": csv.encode(),
        "k.TSV.BZ2": bz2.compress(tsv.encode()),
        "l.csv": csv.replace(",", ";").replace("smiles", '"Smiles"').encode("utf-8-sig"),
        "m.smi.zst": zstandard.ZstdCompressor(write_content_size=False).compress(lines.encode("utf-16")),
        "n.smi": lines.encode("latin-1"),
    }
    first = None
    for name, content in forms.items():
        (folder / name).write_bytes(content)
        more = ["--encoding", "latin-1"] if name == "n.smi" else []
        apply(folder / name, folder / "o.parquet", "--carry", "name", *more)
        table = pq.read_table(folder / "o.parquet").drop_columns(["source_file"])
        assert first is None or table.equals(first), name
        first = first or table
    assert first.num_rows > 20 and first["name"][0].as_py().startswith("phénol n° ")


def main():
    for case in (every_type_is_carried, views_and_extensions_are_what_they_hold, bytes_that_are_no_utf8_are_a_refused_row,
                 text_is_the_same_however_it_is_packed_and_encoded):
        with tempfile.TemporaryDirectory(dir=ARGS.work) as folder:
            case(pathlib.Path(folder))
        print(f"ok {case.__name__}", flush=True)


main()
