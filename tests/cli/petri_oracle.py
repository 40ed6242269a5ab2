#!/usr/bin/env python3
"""An independent, plain search over markings, to hold `spillway expand petri` against: all kinds of arcs, capacities.

Written from the rules in docs/expand.md alone; shares nothing with src/. Makes random nets, writes them as PNML in the
ways that tools do, and compares every row of layers.csv:
  petri_oracle.py --spillway BINARY --work FOLDER [--nets N] [--seed S]
"""
import argparse
import pathlib
import random
import shutil
import subprocess
import sys

MOST_STATES = 3000
KINDS = ("normal", "normal", "normal", "inhibitor", "test", "reset")


class Net:
    def __init__(self, rng: random.Random):
        self.places = rng.choice([2, 3, 4, 6, 12, 40])  # 40: beyond 64 bits
        self.tokens = [rng.choice([0, 0, 1, 2, 5]) for _ in range(self.places)]
        self.capacity = [rng.choice([None, None, None, 5, 7, 300]) for _ in range(self.places)]
        self.transitions = rng.randint(1, 8)
        self.arcs = []  # (transition, "in" or "out", kind, place, weight)
        for transition in range(self.transitions):
            for _ in range(rng.randint(1, 4)):
                kind = rng.choice(KINDS)
                weight = 1 if kind == "reset" else rng.choice([1, 1, 1, 2, 3])
                self.arcs.append((transition, "in", kind, rng.randrange(self.places), weight))
            for _ in range(rng.randint(0, 3)):
                self.arcs.append((transition, "out", "normal", rng.randrange(self.places), rng.choice([1, 1, 2])))
        rng.shuffle(self.arcs)

    def fire(self, marking: tuple, transition: int):
        """The marking after the firing, or None."""
        after = list(marking)
        mine = [arc for arc in self.arcs if arc[0] == transition]
        for _, side, kind, place, weight in mine:  # the arcs of one place take together
            if side == "in" and kind == "normal":
                after[place] -= weight
            if kind == "test" and marking[place] < weight or kind == "inhibitor" and marking[place] >= weight:
                return None
        if min(after) < 0:
            return None
        for _, _, kind, place, _ in mine:
            if kind == "reset":
                after[place] = 0
        for _, side, _, place, weight in mine:
            if side == "out":
                after[place] += weight
        grown = [p for p in range(self.places) if after[p] > marking[p]]
        if any(self.capacity[p] is not None and after[p] > self.capacity[p] for p in grown):
            return None
        return tuple(after)

    def search(self, most_depth: int):
        """Rows of depth, new, generated, duplicate, cumulative."""
        layer, seen, rows = [tuple(self.tokens)], {tuple(self.tokens)}, []
        while layer:
            generated, following = 0, []
            if len(rows) < most_depth:
                for marking in layer:
                    for transition in range(self.transitions):
                        after = self.fire(marking, transition)
                        if after is None:
                            continue
                        generated += 1
                        if after not in seen:
                            seen.add(after)
                            following.append(after)
            known = sum(row[1] for row in rows) + len(layer)
            rows.append((len(rows), len(layer), generated, generated - len(following), known))
            layer = following
        return rows

    def depth_within(self, most_states: int) -> int:
        for depth in range(1, 40):
            if self.search(depth)[-1][4] > most_states:
                return depth - 1
        return 40

    def pnml(self, rng: random.Random):
        yield '<pnml><net id="n" type="http://www.pnml.org/version-2009/grammar/ptnet"><page id="g">'
        for p in range(self.places):
            word = rng.choice(["text", "value"])
            yield f'<place id="p{p}"><initialMarking><{word}>{self.tokens[p]}</{word}></initialMarking>'
            if self.capacity[p] is not None:
                yield f"<capacity><{word}>{self.capacity[p]}</{word}></capacity>"
            yield "</place>"
        for number, (transition, side, kind, place, weight) in enumerate(self.arcs):
            ends = (f"p{place}", f"t{transition}") if side == "in" else (f"t{transition}", f"p{place}")
            attributes = f'id="a{number}" source="{ends[0]}" target="{ends[1]}"'
            inside = f"<inscription><text>{weight}</text></inscription>" if weight != 1 else "<graphics/>"
            way = rng.randrange(4)
            if kind == "normal" or way == 0:
                yield f'<arc {attributes} type="{kind}">{inside}</arc>'
            elif way == 1:
                yield f'<arc {attributes}>{inside}<type value="{kind}"/></arc>'
            elif way == 2:
                yield f"<{kind}Arc {attributes}>{inside}</{kind}Arc>"
            else:
                yield f"<arc {attributes}><arctype><text>{kind}</text></arctype>{inside}</arc>"
        for transition in range(self.transitions):  # after the arcs that name them
            yield f'<transition id="t{transition}"/>'
        yield "</page></net></pnml>"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spillway", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--nets", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    states = 0
    for number in range(options.nets):
        rng = random.Random(options.seed * 100003 + number)
        net = Net(rng)
        depth = net.depth_within(MOST_STATES)
        rows = net.search(depth)
        file, out = options.work / f"net{number}.pnml", options.work / f"out{number}"
        file.write_text("\n".join(net.pnml(rng)))
        shutil.rmtree(out, ignore_errors=True)
        done = subprocess.run([options.spillway, "expand", "petri", str(file), "--out", str(out), "--memory", "64MiB",
                               "--max-depth", str(depth), "--progress", "none"], capture_output=True, text=True)
        want = "depth,new,generated,duplicate,cumulative\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
        got = (out / "layers.csv").read_text() if done.returncode == 0 else done.stderr
        if got != want:
            print(f"{file} (seed {options.seed}):\n{got}\nis not\n{want}", file=sys.stderr)
            return 1
        states += rows[-1][4]
        shutil.rmtree(out)
        file.unlink()
    print(f"{options.nets} nets, {states:,} markings, every row equal")
    return 0 if states > 10 * options.nets else 1


if __name__ == "__main__":
    sys.exit(main())
