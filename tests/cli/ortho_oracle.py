#!/usr/bin/env python3
"""An independent, plain and slow ortho search, to hold `spillway expand ortho` against: both rule sets, random texts.

Written from the rules' description alone; shares nothing with src/. As a command it compares layers, counts, frontier,
ids and the optimum on fixed and random texts:  ortho_oracle.py --spillway BINARY --work FOLDER [--texts N] [--seed S]
"""
import argparse
import collections
import itertools
import json
import math
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

MASK = (1 << 64) - 1


# --- text -----------------------------------------------------------------------------------------------------------

def sentences(text: str, rules: str) -> list[list[str]]:
    found = []
    stops = r"[.?;!,]" if rules == "current" else r"[.?;!]"
    for paragraph in text.split("\n\n"):
        for sentence in re.split(stops, paragraph):
            kept = "".join(c if c.isalpha() or c.isspace() or c == "'" else " " for c in sentence)
            if words := kept.lower().split():
                found.append(words)
    return found


class Book:
    def __init__(self, texts: list[str], rules: str):
        lines = [line for text in texts for line in sentences(text, rules)]
        self.words = sorted({w for line in lines for w in line}, key=lambda w: w.encode())
        number = {w: i for i, w in enumerate(self.words)}
        self.next = collections.defaultdict(set)
        for line in lines:
            ids = [number[w] for w in line]
            for a in range(len(ids)):
                for b in range(a + 2, len(ids) + 1):
                    for k in range(1, b - a):
                        self.next[tuple(ids[a:a + k])].add(ids[a + k])

    def intersect(self, required, forbidden) -> list[int]:
        found = set(range(len(self.words)))
        for prefix in required:
            found &= self.next.get(prefix, set())
        return sorted(found - forbidden)


# --- shapes ---------------------------------------------------------------------------------------------------------

CELLS = {}


def cells(dims) -> list[tuple]:
    if dims not in CELLS:
        CELLS[dims] = sorted(itertools.product(*map(range, dims)), key=lambda c: (sum(c), c))
    return CELLS[dims]


def parent(dims):
    if dims == (2, 2):
        return None
    if set(dims) == {2}:
        return dims[1:]
    smaller = list(dims)
    smaller[smaller.index(max(smaller))] -= 1
    return tuple(sorted(smaller))


def over(dims, rules):
    grown = []
    for axis in range(len(dims)):
        new = dims[:axis] + (dims[axis] + 1,) + dims[axis + 1:]
        if rules == "classic":
            if dims.index(dims[axis]) == axis:
                grown.append(new)
        else:
            new = tuple(sorted(new))
            if new not in grown and parent(new) == dims:
                grown.append(new)
    return grown


def up_image(coordinate, axis):
    at = len(coordinate) - axis
    return coordinate[:at] + (0,) + coordinate[at:]


def insert_axis(dims, payload, word) -> int:
    axis = 0
    for p in range(1, len(dims) + 1):
        if payload[p] is not None:
            if word < payload[p]:
                return axis
            axis += 1
    return axis


# --- the search -----------------------------------------------------------------------------------------------------

Ortho = collections.namedtuple("Ortho", "dims payload up")
START = Ortho((2, 2), (None,) * 4, None)


def requirements(o: Ortho, rules: str):
    order = cells(o.dims)
    cursor = o.payload.index(None)
    at = order[cursor]
    word = dict(zip(order, o.payload))
    required = [tuple(word[at[:axis] + (i,) + at[axis + 1:]] for i in range(at[axis])) for axis in range(len(at))
                if at[axis] > 0]
    shell = [c for c in order if sum(c) == sum(at)]
    blocked = [c for c in shell if c < at]
    if rules == "current" and o.dims != (2, 2):
        old = cells(parent(o.dims))
        images = old if o.up is None else [up_image(c, o.up) for c in old]
        blocked += [c for c in shell if c > at and c in images]
    return required, {word[c] for c in blocked if word[c] is not None}


def add(o: Ortho, w: int, rules: str) -> list[Ortho]:
    cursor = o.payload.index(None)
    filled = o.payload[:cursor] + (w,) + o.payload[cursor + 1:]
    if o.payload.count(None) > 1:
        if cursor == 2 and o.dims == (2, 2) and filled[1] > filled[2]:
            filled = (filled[0], filled[2], filled[1], filled[3])
        return [Ortho(o.dims, filled, o.up)]
    children = []
    shapes = [(new, None) for new in over(o.dims, rules)]
    if set(o.dims) == {2}:
        axis = insert_axis(o.dims, o.payload, w)
        shapes.append((o.dims[:axis] + (2,) + o.dims[axis:], axis))
    for new, axis in shapes:
        where = {c: i for i, c in enumerate(cells(new))}
        child = [None] * math.prod(new)
        source = filled if rules == "current" else o.payload
        for c, value in zip(cells(o.dims), source):
            child[where[c if axis is None else up_image(c, axis)]] = value
        if rules == "classic":
            child[child.index(None)] = w
        children.append(Ortho(new, tuple(child), axis if rules == "current" else None))
    return children


def siphash13(data: bytes) -> int:
    v = [0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573]

    def turn(x, n):
        return ((x << n) | (x >> (64 - n))) & MASK

    def mix():
        v[0] = (v[0] + v[1]) & MASK; v[1] = turn(v[1], 13) ^ v[0]; v[0] = turn(v[0], 32)
        v[2] = (v[2] + v[3]) & MASK; v[3] = turn(v[3], 16) ^ v[2]
        v[0] = (v[0] + v[3]) & MASK; v[3] = turn(v[3], 21) ^ v[0]
        v[2] = (v[2] + v[1]) & MASK; v[1] = turn(v[1], 17) ^ v[2]; v[2] = turn(v[2], 32)

    whole = len(data) // 8 * 8
    last = data[whole:] + bytes(7 - len(data) % 8) + bytes([len(data) & 255])
    for i in range(0, whole, 8):
        word = int.from_bytes(data[i:i + 8], "little")
        v[3] ^= word
        mix()
        v[0] ^= word
    word = int.from_bytes(last, "little")
    v[3] ^= word
    mix()
    v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(3):
        mix()
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def identity(o: Ortho, rules: str) -> int:
    numbers = [len(o.dims), *o.dims, len(o.payload)]
    for value in o.payload:
        numbers += [0] if value is None else [1, value]
    if rules == "current":
        numbers += [0] if o.up is None else [1, o.up]
    return siphash13(b"".join(n.to_bytes(8, "little") for n in numbers)) & (MASK >> 1)


def search(book: Book, rules: str, most: int):
    """Everything comparable, as a dictionary; None when there are more than `most` states."""
    volume = lambda o: math.prod(d - 1 for d in o.dims)
    score = lambda o: (volume(o), len(o.payload) - o.payload.count(None))
    compared = score if rules == "current" else volume
    depth_of, queue = {START: 0}, collections.deque([START])
    best, generated, frontier, layers = START, 0, 0, [1]
    while queue:
        o = queue.popleft()
        discovered = False
        for w in book.intersect(*requirements(o, rules)):
            for child in add(o, w, rules):
                generated += 1
                if child in depth_of:
                    continue
                discovered = True
                depth_of[child] = depth_of[o] + 1
                if len(layers) == depth_of[child]:
                    layers.append(0)
                layers[-1] += 1
                if compared(child) > compared(best):
                    best = child
                queue.append(child)
        frontier += not discovered
        if len(depth_of) > most:
            return None
    ids = [identity(o, rules) for o in depth_of if o != START]
    xor = total = 0
    for i in ids:
        xor ^= i
        total += i
    return {"layers": layers, "states": len(depth_of), "generated": generated, "frontier": frontier, "xor": xor,
            "sum": total & MASK, "start": identity(START, rules), "best": best,
            "best_id": identity(best, rules), "best_score": list(score(best))}


# --- the comparison -------------------------------------------------------------------------------------------------

def random_text(rng: random.Random) -> str:
    letters = ["a", "b", "c", "d", "e", "é", "it's", "Zoo"][:rng.randint(2, 8)]
    parts = []
    for _ in range(rng.randint(2, 14)):
        parts.append(" ".join(rng.choice(letters) for _ in range(rng.randint(1, 4))))
        parts.append(rng.choice([". ", "? ", "; ", "! ", ", ", ".\n", "\n\n", ": ", " - "]))
    return "".join(parts)


class Comparison:
    def __init__(self, options, work: pathlib.Path):
        self.spillway, self.work, self.classic_start = str(options.spillway), work, None

    def run(self, texts: list[str], rules: str) -> dict:
        names = []
        for number, text in enumerate(texts):
            names.append(self.work / f"text{number}.txt")
            names[-1].write_text(text)
        out = self.work / "out"
        shutil.rmtree(out, ignore_errors=True)
        command = [self.spillway, "expand", "ortho", *map(str, names), "--rules", rules, "--out", str(out), "--memory",
                   "64MiB", "--threads", "2", "--progress", "none"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"exit {done.returncode}: {done.stderr}")
        rows = (out / "layers.csv").read_text().splitlines()[1:]
        return {"layers": [int(row.split(",")[1]) for row in rows], **json.loads((out / "result.json").read_text())}

    def check(self, texts: list[str], rules: str, most: int = 20000) -> bool:
        expected = search(Book(texts, rules), rules, most)
        if expected is None:
            return False
        found = self.run(texts, rules)
        for key in ("layers", "states", "generated", "frontier"):
            self.equal(key, found[key], expected[key])
        start = int(found["ids_xor"], 16) ^ expected["xor"]
        self.equal("ids_sum", int(found["ids_sum"], 16), (expected["sum"] + start) & MASK)
        if rules == "current":
            self.equal("the start's id", start, expected["start"])
        else:  # classic gives the empty box an id of its own: any, but always the same
            self.classic_start = self.classic_start or start
            self.equal("the start's id", start, self.classic_start)
        if expected["best"] != START:
            self.equal("best.id", found["best"]["id"], str(expected["best_id"]))
            self.equal("best.dims", found["best"]["dims"], list(expected["best"].dims))
        return True

    @staticmethod
    def equal(what, found, expected):
        if found != expected:
            raise AssertionError(f"{what} is {found}, expected {expected}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spillway", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--work", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--texts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"--seed {seed}", flush=True)
    rng = random.Random(seed)
    options.work.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="ortho_oracle.", dir=options.work))
    compared, texts, rules = 0, [], ""
    try:
        comparison = Comparison(options, work)
        while compared < options.texts:
            texts = [random_text(rng) for _ in range(rng.choice((1, 1, 2)))]
            for rules in ("current", "classic"):
                compared += comparison.check(texts, rules)
    except AssertionError as failure:
        print(f"FAILED (--seed {seed}): --rules {rules} on {texts!r}: {failure}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{compared} searches equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
