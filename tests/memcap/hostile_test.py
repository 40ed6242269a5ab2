#!/usr/bin/env python3
"""Files made to break a reader: each is read by `transform apply` under a hard limit, and has to end in one plain line (or
in rows that are refused and counted) within that limit. The Parquet ones are made with pyarrow and by hand. Generated in
seconds; large ones are sparse or compress well.
"""
import argparse
import gzip
import pathlib
import re
import shutil
import struct
import sys

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import memcap  # noqa: E402

LIMIT = "64MiB"
CASES = []


def case(says, *options, exit_code=1, memory=LIMIT, stdout=None):
    """`says` is found in the one line of stderr; with exit 0, `stdout` in the summary."""
    def add(make):
        CASES.append((make, says, options, exit_code, memory, stdout))
        return make
    return add


def footer_only(path, thrift, length=None, pages=b""):
    with open(path, "wb") as out:
        out.write(b"PAR1" + pages)
        out.write(thrift)
        if length is not None:  # the rest of it: a hole
            out.truncate(out.tell() + length - len(thrift))
            out.seek(0, 2)
        out.write(struct.pack("<I", len(thrift) if length is None else length) + b"PAR1")
    return path


def varint(value):
    out = b""
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


@case(r"its footer of 1.5 GiB takes 3 GiB to read, more than the memory there is for it; raise --memory", exit_code=3)
def huge_footer(folder):
    return footer_only(folder / "a.parquet", b"\x15\x02", (3 << 29))


@case(r"its footer of [0-9.]+ MiB takes [0-9.]+ [MG]iB to read", exit_code=3)
def bomb_of_column_chunks(folder):
    """3 MiB that become a million structures: version 1, no schema, no rows, a list of row groups of a list of chunks."""
    chunks = 1_000_000
    chunk = b"\x26\x00\x00"  # file_offset 0
    group = b"\x19\xfc" + varint(chunks) + chunk * chunks + b"\x00"
    return footer_only(folder / "a.parquet", b"\x15\x02\x19\x0c\x16\x00\x19\x1c" + group + b"\x00")


@case(r"footer is damaged: a list longer than what is left")
def list_without_items(folder):
    return footer_only(folder / "a.parquet", b"\x15\x02\x19\xfc" + varint(1 << 31))


@case(r"footer is damaged: nested too deeply")
def thrift_nested(folder):
    return footer_only(folder / "a.parquet", b"\x1c" * 100_000)


@case(r"cannot be read as Parquet \(footer\): .*depth")
def schema_nested(folder):
    element = b"\x48\x01a\x15\x02\x00"  # name "a", num_children 1
    leaf = b"\x15\x02\x38\x01a\x00"
    depth = 5000
    schema = b"\x15\x02\x19\xfc" + varint(depth + 1) + element * depth + leaf + b"\x16\x00\x19\x0c\x00"
    return footer_only(folder / "a.parquet", schema)


@case(r"columns, more than|takes .* to read, more than the memory", exit_code=3)
def many_columns(folder):
    names = ["smiles"] + [f"c{i}" for i in range(20_000)]
    table = pa.table([pa.array(["CCO"])] + [pa.array([1], pa.int8())] * 20_000, names=names)
    pq.write_table(table, folder / "a.parquet", write_statistics=False, compression="none")
    return folder / "a.parquet"


@case(r"1,500 columns to carry, more than 1,024; name those that matter", "--carry", "all", exit_code=3)
def many_carried(folder):
    names = ["smiles"] + [f"c{i}" for i in range(1500)]
    table = pa.table([pa.array(["CCO"])] + [pa.array([1], pa.int8())] * 1500, names=names)
    pq.write_table(table, folder / "a.parquet", write_statistics=False, compression="none")
    return folder / "a.parquet"


@case(r"its pages need more than the memory there is .*raise --memory", exit_code=3)
def page_bomb(folder):
    pq.write_table(pa.table({"smiles": ["C" * (1 << 28)]}), folder / "a.parquet", compression="zstd")
    return folder / "a.parquet"


@case(r"its pages need more than the memory there is .*raise --memory", exit_code=3)
def dictionary_bomb(folder):
    """One value of 1 MiB, 10,000 times."""
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int32()), pa.array(["C" * (1 << 20)]))
    pq.write_table(pa.table({"smiles": values}), folder / "a.parquet", compression="zstd",
                   store_schema=False, dictionary_pagesize_limit=1 << 22)
    return folder / "a.parquet"


@case(None, exit_code=0, stdout=r"^60,000 rows: 0 with products, 60,000 without a site, 0 refused")
def one_row_group_of_one_page(folder):
    pq.write_table(pa.table({"smiles": ["CCO"] * 60_000}), folder / "a.parquet", row_group_size=1 << 30,
                   data_page_size=1 << 30, use_dictionary=False, compression="none")
    return folder / "a.parquet"


@case(r"a.parquet: cannot be read as Parquet \(from row 1\)")
def dictionary_index_out_of_range(folder):
    values = pa.array(["CCO", "CCN", "CCC"] * 100).dictionary_encode()
    path = folder / "a.parquet"
    pq.write_table(pa.table({"smiles": values}), path, compression="none", write_statistics=False)
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    data = bytearray(path.read_bytes())
    end = column.dictionary_page_offset + column.total_compressed_size
    data[end - 60:end] = b"\xff" * 60  # indices of two bits: 3, of 0 to 2
    path.write_bytes(data)
    return path


@case(None, "--carry", "all", exit_code=0, stdout=r"^2 rows: 1 with products, 1 without a site, 0 refused")
def two_columns_of_one_name(folder):
    table = pa.table([pa.array(["Oc1ccccc1", "CC"]), pa.array([1, 2]), pa.array(["x", "y"])], names=["smiles", "a", "a"])
    pq.write_table(table, folder / "a.parquet")
    return folder / "a.parquet"


@case(r"2 columns are named 'smiles'", exit_code=2)
def two_columns_of_smiles(folder):
    pq.write_table(pa.table([pa.array(["CC"]), pa.array(["CN"])], names=["smiles", "smiles"]), folder / "a.parquet")
    return folder / "a.parquet"


@case(None, "--carry", "l", exit_code=0, stdout=r"^2 rows: 1 with products, 1 without a site, 0 refused")
def nulls_in_a_list(folder):
    table = pa.table({"smiles": ["Oc1ccccc1", "CC"], "l": pa.array([[1, 2], [3, None]], pa.list_(pa.int32()))})
    pq.write_table(table, folder / "a.parquet")
    return folder / "a.parquet"


@case(None, "--carry", "n", exit_code=0, stdout=r"^1 rows: 0 with products, 0 without a site, 1 refused")
def text_that_is_not_utf8(folder):
    names = pa.array([b"\xe9t\xe9"], pa.binary())
    path = folder / "a.parquet"
    pq.write_table(pa.table({"smiles": ["CC"], "n": names.cast(pa.string(), safe=False) if False else
                             pa.Array.from_buffers(pa.string(), 1, names.buffers())}), path)
    return path


@case(r"\(from row 1\): .*CRC")
def page_of_another_writer_with_a_wrong_checksum(folder):
    path = folder / "a.parquet"
    pq.write_table(pa.table({"smiles": ["CCO"] * 50}), path, write_page_checksum=True, compression="none",
                   use_dictionary=False)
    data = bytearray(path.read_bytes())
    at = data.index(b"CCO\x03\0\0\0CCO")
    data[at] ^= 4
    path.write_bytes(data)
    return path


@case(None, exit_code=0, stdout=r"^1,000 rows: 0 with products, 999 without a site, 1 refused")
def csv_quote_without_end(folder):
    path = folder / "a.csv"
    with open(path, "wb") as out:
        out.write(b"smiles\n" + b"CCO\n" * 999 + b'"' + b"C" * 100_000)
        out.truncate(out.tell() + (1 << 29))
    return path


@case(r"a.csv: line 1: more than 16,384 fields", exit_code=3)
def csv_of_commas(folder):
    (folder / "a.csv").write_bytes(b"smiles" + b"," * 1_000_000 + b"\n")
    return folder / "a.csv"


@case(None, exit_code=0, stdout=r"^300,001 rows: 0 with products, 0 without a site, 300,001 refused")
def csv_of_commas_over_many_lines(folder):
    """A field that ends and begins within quotes on each line: one record, of too many fields; its lines are read singly."""
    (folder / "a.csv").write_bytes(b"smiles\n" + b'"a",b,"\n' + b'",c,"\n' * 300_000)
    return folder / "a.csv"


@case(None, "--carry", "f", exit_code=0, stdout=r"^2 rows: 1 with products, 0 without a site, 1 refused")
def sdf_field_without_end(folder):
    molecule = "\n  x\n\n  2  1  0  0  0  0  0  0  0  0999 V2000\n    0.0    0.0    0.0 C   0  0\n    1.0    0.0    0.0 O   0  0\n  1  2  1  0\nM  END\n"
    phenol = "\n  x\n\n  7  7  0  0  0  0  0  0  0  0999 V2000\n" + "    0.0000    0.0000    0.0000 C   0  0\n" * 6 + \
        "    0.0000    0.0000    0.0000 O   0  0\n" + "".join(f"{i:3}{i % 6 + 1:3}  4  0\n" for i in range(1, 7)) + \
        "  1  7  1  0\nM  END\n"
    with open(folder / "a.sdf", "w") as out:
        out.write(phenol + "$$$$\n" + molecule + "> <f>\n")
        for _ in range(60):
            out.write("x\n" * (1 << 19))
        out.write("\n$$$$\n")
    return folder / "a.sdf"


@case(None, exit_code=0, stdout=r"^2 rows: 0 with products, 1 without a site, 1 refused")
def line_without_end(folder):
    with gzip.open(folder / "a.smi.gz", "wb", compresslevel=1) as out:
        out.write(b"CCO\n")
        for _ in range(256):
            out.write(b"C" * (1 << 20))
    return folder / "a.smi.gz"


def check(options, folder, number) -> str:
    make, says, words, exit_code, memory, stdout = CASES[number]
    folder.mkdir(parents=True)
    path = make(folder)
    command = [str(options.spillway), "transform", "apply", str(path), "--rule", "phenol", "--out", str(folder / "out.parquet"),
               "--memory", memory, "--threads", "1", "--progress", "none", *words]
    outcome = memcap.run(command, memcap.parse_size(memory), timeout=120, capture=True)
    stderr, out = outcome.stderr.decode(errors="replace"), outcome.stdout.decode(errors="replace")
    problems = []
    if outcome.exit_code != exit_code:
        problems.append(f"exit {outcome.exit_code}, not {exit_code}")
    if not outcome.within:
        problems.append(outcome.text())
    if says is not None and (not re.search(says, stderr) or len(stderr.strip().splitlines()) != 1):
        problems.append(f"does not say {says!r}")
    if stdout is not None and not re.search(stdout, out, re.M):
        problems.append(f"stdout has no {stdout!r}")
    if exit_code != 0 and ((folder / "out.parquet").exists() or (folder / "out.parquet.spillway").exists()):
        problems.append("leaves an output")
    print(f"{'ok  ' if not problems else 'FAIL'} {make.__name__}: {outcome.seconds:.1f} s, {outcome.peak / (1 << 20):.1f} MiB")
    return f"{'; '.join(problems)}\n  {stderr[:600]}{out[:300]}" if problems else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spillway", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    work = options.work / "hostile"
    shutil.rmtree(work, ignore_errors=True)
    failed = 0
    for number, (make, *_) in enumerate(CASES):
        if options.cases and make.__name__ not in options.cases:
            continue
        problem = check(options, work / make.__name__, number)
        shutil.rmtree(work / make.__name__)
        if problem:
            failed += 1
            print("  " + problem)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
