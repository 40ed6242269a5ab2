#!/usr/bin/python3
"""The (product, rule) pairs of the sample sets, by Debian's python3-rdkit and nothing of spillway: RunReactants, sanitize,
remove hydrogens, canonical SMILES, for `--fragments matched`. Writes `smiles<TAB>rule` lines, sorted bytewise, each once;
with --rows `row<TAB>rule<TAB>smiles` lines, each once, row counted from 0 over all files; failures by reason on stderr.

Needs the system's Python (its NumPy is older than pyarrow's); the only file of the project it reads is the rules.
"""
import argparse
import collections
import csv
import json
import pathlib
import re
import sys

from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem

SETS = {
    "nci": "/usr/share/RDKit/Data/NCI/first_5K.smi",
    "wehi": "/usr/share/RDKit/Data/Pains/test_data/wehi_mols.csv",
    "nibr": "/usr/share/RDKit/Contrib/NIBRSubstructureFilters/SubstructureFilter_HitTriaging_wPubChemExamples.csv",
}


def smiles_of(name):
    path = pathlib.Path(SETS.get(name, name))
    if name == "nibr":
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                yield from (row[f"EX{i}"] for i in range(1, 6))
    elif name == "wehi":
        with path.open(newline="") as file:
            for row in csv.reader(file):
                yield row[0]
    else:
        for line in path.read_text().splitlines():
            if line.strip() and not line.startswith("#"):
                yield line.split()[0]


def read_rules(path):
    """name and smirks of each rule; a few lines instead of a YAML package, which Debian's Python need not have."""
    rules = []
    for line in path.read_text().splitlines():
        match = re.match(r"^\s*(?:- )?(name|smirks):\s*(.*?)\s*$", line)
        if match and match.group(1) == "name":
            rules.append([match.group(2), None])
        elif match:
            rules[-1][1] = json.loads(match.group(2)) if match.group(2).startswith('"') else match.group(2)
    return [(name, AllChem.ReactionFromSmarts(smirks)) for name, smirks in rules]


def product_smiles(product):
    Chem.SanitizeMol(product)
    return Chem.MolToSmiles(Chem.RemoveHs(product))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="+", help="nci, wehi, nibr, or a .smi file")
    parser.add_argument("--rules", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parents[2] / "rules" / "standard.yaml")
    parser.add_argument("--rule", action="append", help="only these names")
    parser.add_argument("--rows", action="store_true")
    options = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    rules = [r for r in read_rules(options.rules) if not options.rule or r[0] in options.rule]
    counts, lines, row = collections.Counter(), set(), -1
    for name in options.sets:
        for smiles in smiles_of(name):
            row += 1
            if not smiles.strip():
                counts["null"] += 1
                continue
            mol = Chem.MolFromSmiles(smiles)
            if mol is None:
                counts["parse"] += 1
                continue
            for atom in mol.GetAtoms():
                atom.SetAtomMapNum(0)
            for rule, reaction in rules:
                for (product,) in reaction.RunReactants((mol,), maxProducts=0):
                    counts["sites"] += 1
                    try:
                        text = product_smiles(product)
                    except Exception as error:
                        counts[type(error).__name__] += 1
                        continue
                    lines.add(f"{row}\t{rule}\t{text}" if options.rows else f"{text}\t{rule}")
    for line in sorted(lines, key=str.encode):
        print(line)
    print(json.dumps({"rows": row + 1, "lines": len(lines), **counts}), file=sys.stderr)


if __name__ == "__main__":
    main()
