#!/usr/bin/env python3
"""Pouring water between jugs: spillway expand pipe --format json -- python3 jugs_json.py 3 5

JSON lines. Each line of input is a state, any JSON value, or null to ask for the initial states; each answer is one line
with the array of successors. A state here is the list of what is in the jugs."""
import json
import sys


def moves(jugs, sizes):
    for i, size in enumerate(sizes):
        yield jugs[:i] + [size] + jugs[i + 1:]
        yield jugs[:i] + [0] + jugs[i + 1:]
        for j, room in enumerate(sizes):
            if i == j:
                continue
            poured = min(jugs[i], room - jugs[j])
            after = list(jugs)
            after[i] -= poured
            after[j] += poured
            yield after


def main():
    sizes = [int(word) for word in sys.argv[1:]]
    for line in sys.stdin:
        state = json.loads(line)
        found = [[0] * len(sizes)] if state is None else list(moves(state, sizes))
        print(json.dumps(found), flush=True)


main()
