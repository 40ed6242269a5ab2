#!/usr/bin/env python3
"""Writes the generated texts of the ortho runs: texts.py ascp10 > ascp10.txt

Sentences "x y." joined by one space, letters a, b, c..., no newline at the end.
ascpN: all pairs x < y of N letters. pairsN: all ordered pairs x != y, lexicographic.
"""
import itertools
import re
import string
import sys


def text(name: str) -> str:
    match = re.fullmatch(r"(ascp|pairs)(\d+)", name)
    if not match or not 2 <= int(match.group(2)) <= 26:
        raise ValueError(f"unknown text {name!r}: ascpN or pairsN, N from 2 to 26")
    letters = string.ascii_lowercase[:int(match.group(2))]
    pairs = itertools.combinations(letters, 2) if match.group(1) == "ascp" else itertools.permutations(letters, 2)
    return " ".join(f"{x} {y}." for x, y in pairs)


def main() -> int:
    try:
        sys.stdout.write(text(sys.argv[1]))
    except (IndexError, ValueError) as error:
        print(f"texts.py: {error or 'which text? ascpN or pairsN'}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
