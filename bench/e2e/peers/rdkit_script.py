"""The pipeline people write: Python, RDKit, multiprocessing, pyarrow. Each worker parses a SMILES, runs the reaction,
sanitizes, writes canonical SMILES; the parent drops duplicates with a set and writes Parquet with zstd.

    rdkit_script.py SMIRKS IN.smi OUT.parquet [--processes N]

Prints one JSON line: rows, products, unique, seconds, products_per_s. Runs where RDKit and pyarrow are both to be had; if
pyarrow is missing (Debian's RDKit wants an older NumPy) `--out-python PYTHON` names an interpreter that has it: it gets
the rows over a pipe, which costs little beside the chemistry.
"""
import argparse
import json
import multiprocessing
import subprocess
import sys
import time

WRITER = """
import sys, pyarrow as pa, pyarrow.parquet as pq
schema = pa.schema([('smiles', pa.string()), ('source_smiles', pa.string()), ('source_row', pa.int64())])
with pq.ParquetWriter(sys.argv[1], schema, compression='zstd') as writer:
    rows = []
    def flush():
        columns = list(zip(*rows)) or [[], [], []]
        writer.write_table(pa.table([columns[0], columns[1], [int(x) for x in columns[2]]], schema=schema))
        rows.clear()
    for line in sys.stdin:
        rows.append(line.rstrip('\\n').split('\\t'))
        if len(rows) == 122880:
            flush()
    flush()
"""

REACTION = None


def prepare(smirks):
    global REACTION
    from rdkit import RDLogger
    from rdkit.Chem import AllChem
    RDLogger.DisableLog("rdApp.*")
    REACTION = AllChem.ReactionFromSmarts(smirks)


def transform(item):
    from rdkit import Chem
    row, smiles = item
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        return row, smiles, []
    products = []
    for (product,) in REACTION.RunReactants((mol,), maxProducts=0):
        try:
            Chem.SanitizeMol(product)
        except Exception:
            continue
        products.append(Chem.MolToSmiles(product))
    return row, smiles, products


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("smirks")
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--out-python", default=sys.executable)
    options = parser.parse_args()
    start = time.monotonic()
    with open(options.input) as file:
        items = [(row, line.split()[0]) for row, line in enumerate(file) if line.strip()]
    writer = subprocess.Popen([options.out_python, "-c", WRITER, options.output], stdin=subprocess.PIPE, text=True)
    seen, products = set(), 0
    with multiprocessing.Pool(options.processes, prepare, (options.smirks,)) as pool:
        for row, source, made in pool.imap(transform, items, chunksize=500):
            products += len(made)
            for smiles in made:
                if smiles not in seen:
                    seen.add(smiles)
                    writer.stdin.write(f"{smiles}\t{source}\t{row}\n")
    writer.stdin.close()
    if writer.wait() != 0:
        return 1
    seconds = time.monotonic() - start
    print(json.dumps({"rows": len(items), "products": products, "unique": len(seen), "seconds": round(seconds, 3),
                      "products_per_s": round(products / seconds)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
