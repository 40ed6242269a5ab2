#!/usr/bin/env python3
"""Writes the Kanban net (Ciardo, Tilgner) with N tokens a cell as PNML (ISO 15909-2, P/T net): kanban.py N > kanban.pnml

Four cells i with places kan_i (N tokens), m_i, back_i, out_i. Known sizes (markings / transitions fired): N=1 160 / 616,
2 4,600 / 28,120, 3 58,400 / 446,400, 4 454,475 / 3,979,850, 5 2,546,432 / 24,460,016, 6 11,261,376 / 115,708,992.
"""
import sys

CELLS = (1, 2, 3, 4)


def transitions():
    """(name, inputs, outputs), in the order they are written."""
    yield "in", ["kan1"], ["m1"]
    for i in CELLS:
        yield f"redo{i}", [f"m{i}"], [f"back{i}"]
        yield f"back{i}_", [f"back{i}"], [f"m{i}"]
        yield f"ok{i}", [f"m{i}"], [f"out{i}"]
    yield "synch1", ["out1", "kan2", "kan3"], ["kan1", "m2", "m3"]
    yield "synch2", ["out2", "out3", "kan4"], ["kan2", "kan3", "m4"]
    yield "out", ["out4"], ["kan4"]


def pnml(tokens: int):
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<pnml xmlns="http://www.pnml.org/version-2009/grammar/pnml">'
    yield f' <net id="kanban-{tokens}" type="http://www.pnml.org/version-2009/grammar/ptnet"><page id="page">'
    for i in CELLS:
        yield f'  <place id="kan{i}"><initialMarking><text>{tokens}</text></initialMarking></place>'
        for kind in ("m", "back", "out"):
            yield f'  <place id="{kind}{i}"/>'
    arcs = []
    for name, inputs, outputs in transitions():
        yield f'  <transition id="t_{name}"/>'
        arcs += [(place, f"t_{name}") for place in inputs] + [(f"t_{name}", place) for place in outputs]
    for number, (source, target) in enumerate(arcs):
        yield f'  <arc id="a{number}" source="{source}" target="{target}"/>'
    yield " </page></net>"
    yield "</pnml>"


def main() -> int:
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        print("usage: kanban.py N > kanban.pnml", file=sys.stderr)
        return 2
    print("\n".join(pnml(int(sys.argv[1]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
