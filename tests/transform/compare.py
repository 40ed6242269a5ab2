#!/usr/bin/env python3
"""The (product, rule) pairs that `transform apply --fragments matched` writes, against rdkit_oracle.py: RunReactants in
Debian's python3-rdkit, which shares no code with spillway. One run a rule, so that dedup over rules hides none; products
equal to an input are left out on both sides, and counted `known` on ours. The output is read with pyarrow, and with
DuckDB when it is there. Of rules that are not the shipped ones: also that RDKit reads each product to itself. Runs with the Python that has pyarrow; the oracle with the system's.
"""
import argparse
import collections
import json
import pathlib
import shutil
import subprocess
import sys

import pyarrow.parquet

HERE = pathlib.Path(__file__).resolve().parent
SETS = {
    "nci": ["/usr/share/RDKit/Data/NCI/first_5K.smi"],
    "wehi": ["/usr/share/RDKit/Data/Pains/test_data/wehi_mols.csv", "--no-header", "--smiles-column", "1"],
    "nibr": ["/usr/share/RDKit/Contrib/NIBRSubstructureFilters/SubstructureFilter_HitTriaging_wPubChemExamples.csv",
             *(word for i in range(1, 6) for word in ("--smiles-column", f"EX{i}"))],
}
INPUTS = """
import sys
sys.path.insert(0, sys.argv[1])
import rdkit_oracle
from rdkit import Chem, RDLogger
RDLogger.DisableLog("rdApp.*")
for text in rdkit_oracle.smiles_of(sys.argv[2]):
    mol = Chem.MolFromSmiles(text) if text else None
    if mol is None: continue
    for atom in mol.GetAtoms(): atom.SetAtomMapNum(0)
    print(Chem.MolToSmiles(Chem.RemoveHs(mol)))
"""
UNREAD = """
import sys
from rdkit import Chem, RDLogger
RDLogger.DisableLog("rdApp.*")
for text in sys.argv[1:]:
    mol = Chem.MolFromSmiles(text)
    again = mol and Chem.MolToSmiles(mol)
    if again is None or again != text: print(text, again)
"""


def lines(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.splitlines()


def duck_count(path):
    try:
        import duckdb
    except ImportError:
        return None
    return duckdb.sql(f"select count(*), count(distinct smiles) from '{path}'").fetchall()[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spillway", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--rule", action="append", help="only these")
    parser.add_argument("--rules", type=pathlib.Path, default=HERE.parents[1] / "rules" / "standard.yaml")
    parser.add_argument("sets", nargs="*", default=list(SETS), help=f"{', '.join(SETS)}, or a .smi file")
    options = parser.parse_args()
    if not pathlib.Path(SETS["nci"][0]).exists() or subprocess.run(
            ["/usr/bin/python3", "-c", "import rdkit"], stderr=subprocess.DEVNULL).returncode:
        print("needs rdkit-data and python3-rdkit")
        return 77
    work = options.work / "transform_compare"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    rules = ["--rules", str(options.rules)]
    listed = [line.split()[0] for line in lines(options.spillway, "transform", "rules", *rules)]
    is_standard = options.rules.name == "standard.yaml"
    assert options.rule or not is_standard or len(listed) == 35, len(listed)
    wrong = pairs = 0
    for name in options.sets:
        only = [word for rule in options.rule or [] for word in ("--rule", rule)]
        expected = collections.defaultdict(set)
        for line in lines("/usr/bin/python3", str(HERE / "rdkit_oracle.py"), name, *rules, *only):
            smiles, rule = line.split("\t")
            expected[rule].add(smiles)
        inputs = set(lines("/usr/bin/python3", "-c", INPUTS, str(HERE), name))
        for rule in options.rule or listed:
            out = work / f"{pathlib.Path(name).stem}-{rule}.parquet"
            command = [options.spillway, "transform", "apply", *SETS.get(name, [name]), *rules, "--rule", rule, "--fragments",
                       "matched", "--out", str(out), "--memory", "128MiB", "--progress", "none"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            table = pyarrow.parquet.read_table(out)
            got = set(table["smiles"].to_pylist())
            counts = json.loads(pyarrow.parquet.read_metadata(out).metadata[b"spillway.counts"])
            assert set(table["rule"].to_pylist()) <= {rule} and len(got) == table.num_rows == counts["unique"]
            duck = duck_count(out)
            assert duck is None or duck == (table.num_rows, table.num_rows), duck
            known = expected[rule] & inputs
            assert (counts["known"] > 0) == (len(known) > 0), f"{name} {rule}: known {counts['known']}, {len(known)}"
            pairs += len(got)
            for what, some in (("not made", expected[rule] - inputs - got), ("not expected", got - expected[rule])):
                if some:
                    wrong += 1
                    print(f"{name} {rule}: {len(some)} {what}, such as {sorted(some)[0]}")
            out.unlink()
            if is_standard or not got:
                continue
            subprocess.run([*command, "--descriptors", "basic"], check=True, stdout=subprocess.DEVNULL)
            with_descriptors = pyarrow.parquet.read_table(out, columns=["smiles"])
            out.unlink()
            if with_descriptors["smiles"] != table["smiles"]:
                wrong += 1
                print(f"{name} {rule}: other products with --descriptors")
            unread = lines("/usr/bin/python3", "-c", UNREAD, *got)
            if unread:
                wrong += 1
                print(f"{name} {rule}: {len(unread)} products that RDKit reads otherwise, such as {unread[0]}")
    print(f"{pairs} pairs, {wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
