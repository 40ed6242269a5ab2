#!/usr/bin/env python3
"""The states come in the order of a plain first-in first-out search: depth, contents and order, row by row.

Each problem is searched here with a deque and a set, written from the documented order of its moves, and compared with
the Parquet files of `--states all`, read by pyarrow. Runs at the least memory (so that it spills) and with room.
Needs pyarrow: .venv/bin/python order_oracle.py --spillway BINARY --work FOLDER
"""
import argparse
import collections
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pyarrow
import pyarrow.parquet

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "data"), str(HERE.parent / "memcap")]
import jobs  # noqa: E402
import kanban  # noqa: E402
import ortho_oracle  # noqa: E402
import texts  # noqa: E402

NO_WORD = 0xFFFFFFFF


def search(start, successors):
    """[(depth, state)] in FIFO order."""
    seen, found, queue = {start}, [(0, start)], collections.deque([(0, start)])
    while queue:
        depth, state = queue.popleft()
        for child in successors(state):
            if child not in seen:
                seen.add(child)
                found.append((depth + 1, child))
                queue.append((depth + 1, child))
    return found


def pancake(n):
    return tuple(range(n)), lambda s: [s[:k][::-1] + s[k:] for k in range(2, n + 1)]


def puzzle(rows, columns):
    def moves(s):
        at = s.index(0)
        row, column = divmod(at, columns)
        for step, fits in ((-columns, row > 0), (columns, row + 1 < rows), (-1, column > 0), (1, column + 1 < columns)):
            if fits:
                t = list(s)
                t[at], t[at + step] = t[at + step], 0
                yield tuple(t)
    return tuple(range(rows * columns)), moves


def hanoi(pegs, discs):
    def moves(s):
        top = [next((d for d in range(discs) if s[d] == peg), discs) for peg in range(pegs)]
        for source in range(pegs):
            for target in range(pegs):
                if top[source] < top[target]:
                    yield s[:top[source]] + (target,) + s[top[source] + 1:]
    return (0,) * discs, moves


def petri(tokens):
    places = [f"{kind}{i}" for i in kanban.CELLS for kind in ("kan", "m", "back", "out")]
    fires = [([places.index(p) for p in inputs], [places.index(p) for p in outputs])
             for _, inputs, outputs in kanban.transitions()]

    def moves(s):
        for inputs, outputs in fires:
            if all(s[p] for p in inputs):
                t = list(s)
                for p in inputs:
                    t[p] -= 1
                for p in outputs:
                    t[p] += 1
                yield tuple(t)
    return tuple(tokens if p.startswith("kan") else 0 for p in places), moves


def ortho(name):
    book = ortho_oracle.Book([texts.text(name)], "current")

    def moves(o):
        for w in book.intersect(*ortho_oracle.requirements(o, "current")):
            yield from ortho_oracle.add(o, w, "current")
    return ortho_oracle.START, moves


def list_row(row):
    return tuple(row[0])


def ortho_row(row):
    dims, payload, up = row
    return ortho_oracle.Ortho(tuple(dims), tuple(None if w in (None, NO_WORD) else w for w in payload), up)


def read_states(folder: pathlib.Path, to_state):
    table = pyarrow.concat_tables([pyarrow.parquet.read_table(path) for path in sorted(folder.rglob("*.parquet"))])
    columns = [c for c in table.column_names if c not in ("depth", "id")]
    rows = zip(*(table.column(c).to_pylist() for c in columns))
    return list(zip(table.column("depth").to_pylist(), map(to_state, rows)))


def cases(folder: pathlib.Path):
    """(words, the plain search, how a row of columns becomes a state)."""
    for tokens in (2, 3):
        (folder / f"kanban{tokens}.pnml").write_text("\n".join(kanban.pnml(tokens)))
    (folder / "pairs5.txt").write_text(texts.text("pairs5"))
    return [
        (["pancake", "9"], pancake(9), list_row),
        (["puzzle", "3x3"], puzzle(3, 3), list_row),
        (["puzzle", "2x4"], puzzle(2, 4), list_row),
        (["hanoi", "--pegs", "4", "--discs", "6"], hanoi(4, 6), list_row),
        (["hanoi", "--pegs", "3", "--discs", "7"], hanoi(3, 7), list_row),
        (["petri", str(folder / "kanban2.pnml")], petri(2), tuple),
        (["petri", str(folder / "kanban3.pnml")], petri(3), tuple),
        (["ortho", str(folder / "pairs5.txt")], ortho("pairs5"), ortho_row),
    ]


def check(spillway: str, work: pathlib.Path, words, plain, to_state) -> None:
    expected = search(*plain)
    options = ["--states", "all", "--threads", "2", "--progress", "none"]
    least = jobs.minimum_memory(spillway, words, work / "refused", options)
    for memory in (least, "256MiB"):
        out = work / "out"
        shutil.rmtree(out, ignore_errors=True)
        done = subprocess.run([spillway, "expand", *words, *options, "--memory", memory, "--out", str(out)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"exit {done.returncode}: {done.stderr}")
        found = read_states(out / "states", to_state)
        for row, (a, b) in enumerate(zip(found, expected)):
            if a != b:
                raise AssertionError(f"--memory {memory}: row {row} is {a}, expected {b}")
        if len(found) != len(expected):
            raise AssertionError(f"--memory {memory}: {len(found)} rows, expected {len(expected)}")
    print(f"{words[0]} {words[-1].rsplit('/', 1)[-1]}: {len(expected)} states in order", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spillway", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--work", required=True, type=lambda path: pathlib.Path(path).resolve())
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="order_oracle.", dir=options.work))
    words = []
    try:
        for words, plain, to_state in cases(work):
            check(str(options.spillway), work, words, plain, to_state)
    except AssertionError as failure:
        print(f"FAILED: {' '.join(words)}: {failure}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
