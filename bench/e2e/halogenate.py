#!/usr/bin/python3
"""Writes a halogenated polyphenol set as SMILES, deterministically: the molecules of RDKit's sample sets with at least two
phenol groups, then what one and two steps of aromatic halogenation (F, Cl, Br, I) make of them, each once, in the order
of discovery, until --count lines. The same RDKit gives the same bytes. Needs python3-rdkit and rdkit-data.
"""
import argparse
import csv
import pathlib
import sys

from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem

DATA = pathlib.Path("/usr/share/RDKit/Data")
HALOGENS = [AllChem.ReactionFromSmarts(f"[cH:1]>>[c:1]{x}") for x in ("F", "Cl", "Br", "I")]
PHENOL = Chem.MolFromSmarts("[c][OX2H]")


def samples():
    for line in (DATA / "NCI/first_5K.smi").read_text().splitlines():
        if line.strip():
            yield line.split()[0]
    with (DATA / "Pains/test_data/wehi_mols.csv").open(newline="") as file:
        for row in csv.reader(file):
            yield row[0]


def polyphenols():
    for smiles in samples():
        mol = Chem.MolFromSmiles(smiles)
        if mol is not None and len(mol.GetSubstructMatches(PHENOL)) >= 2:
            yield Chem.MolToSmiles(mol)


def halogenated(smiles):
    mol = Chem.MolFromSmiles(smiles)
    for reaction in HALOGENS:
        for (product,) in reaction.RunReactants((mol,), maxProducts=0):
            try:
                Chem.SanitizeMol(product)
            except Exception:
                continue
            yield Chem.MolToSmiles(product)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=2)
    options = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    layer = list(dict.fromkeys(polyphenols()))
    seen = dict.fromkeys(layer)
    written = 0
    for step in range(options.steps + 1):
        for smiles in layer:
            if written == options.count:
                return
            print(smiles)
            written += 1
        if step == options.steps:
            break
        following = []
        for smiles in layer:
            for made in halogenated(smiles):
                if made not in seen:
                    seen[made] = None
                    following.append(made)
            if written + len(following) >= options.count:
                break
        layer = following
    print(f"only {written} of {options.count}: raise --steps", file=sys.stderr)


if __name__ == "__main__":
    main()
