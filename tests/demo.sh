#!/usr/bin/env bash
# What `./run demo` shows: real jobs, each under a hard memory limit, and what they held.
set -euo pipefail
spillway=$(realpath "${1:?usage: demo.sh BINARY}")
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
out=$(mktemp -d "$(dirname "$spillway")/demo.XXXXXX")
bold='' plain=''
[ ! -t 1 ] || { bold=$'\033[1m' plain=$'\033[0m'; }
trap 'rm -rf "$out"' EXIT

# search TITLE LIMIT WORDS...: runs one search in a memory cgroup of the limit.
search() {
  local title=$1 limit=$2
  shift 2
  printf '\n%s%s%s\n$ spillway expand %s --memory %s\n' "$bold" "$title" "$plain" "${*//$out\//}" "$limit"
  python3 "$here/memcap/memcap.py" --limit "$limit" -- \
    "$spillway" expand "$@" --memory "$limit" --threads "$(nproc)" --out "$out/run"
  rm -rf "$out/run"
}

python3 "$here/data/kanban.py" 5 >"$out/kanban5.pnml"
python3 "$here/data/texts.py" ascp10 >"$out/ascp10.txt"

search "All 3,628,800 stacks of ten pancakes, by number of flips" 64MiB pancake 10
search "All 181,440 positions of the 8-puzzle" 32MiB puzzle 3x3
search "All 2,546,432 markings of a Petri net: Kanban with five tokens a cell" 64MiB petri "$out/kanban5.pnml"
search "The largest structure in a text of 45 sentences, 76,824 states" 64MiB ortho "$out/ascp10.txt"

if "$spillway" transform --help >/dev/null 2>&1; then
  printf '\n%sEvery product of 35 rules on 4,999 molecules, each once%s\n$ spillway transform apply first_5K.smi --rule all --memory 128MiB\n' "$bold" "$plain"
  python3 "$here/memcap/memcap.py" --limit 128MiB -- "$spillway" transform apply /usr/share/RDKit/Data/NCI/first_5K.smi --rule all \
    --memory 128MiB --threads "$(nproc)" --out "$out/products.parquet"
  "$spillway" transform stats "$out/products.parquet" | head -8
fi

atlas=/usr/share/mricron/templates/aal.nii.gz
if [ -f "$atlas" ]; then
  printf '\n%sA labelled brain atlas, 181 x 217 x 181 voxels, to a neuroglancer volume and to Arrow shards%s\n' "$bold" "$plain"
  "$spillway" export spec "$atlas" >"$out/info.json"
  for format in precomputed arrow; do
    printf '$ spillway export run aal.nii.gz --spec info.json --to %s --memory 64MiB\n' "$format"
    python3 "$here/memcap/memcap.py" --limit 64MiB -- "$spillway" export run "$atlas" --spec "$out/info.json" --to "$format" \
      --memory 64MiB --threads "$(nproc)" --out "$out/$format"
  done
  printf '$ spillway export verify arrow\n'
  "$spillway" export verify "$out/arrow"
fi

printf '\nNext: %s expand --help\n' "${spillway#"$PWD"/}"
