#!/usr/bin/env python3
"""The largest nets and texts that somebody may hand to `spillway expand`, each under a hard limit of 64 MiB: read within
it, or refused by the name of the limit it met. Writes the files as it goes; seconds in all.

hostile_problems.py --spillway BINARY --work FOLDER [CASE...]
"""
import argparse
import pathlib
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import memcap  # noqa: E402

LIMIT = 64 << 20
HEAD = '<pnml><net id="n" type="ptnet"><page id="g">\n'
TAIL = "</page></net></pnml>\n"


def ring(places: int):
    """A token goes round: as many markings as places."""
    yield HEAD
    for i in range(places):
        marking = "<initialMarking><text>1</text></initialMarking>" if i == 0 else ""
        yield f'<place id="p{i}">{marking}</place><transition id="t{i}"/>\n'
    for i in range(places):
        yield (f'<arc id="a{i}" source="p{i}" target="t{i}"/>'
               f'<arc id="b{i}" source="t{i}" target="p{(i + 1) % places}"/>\n')
    yield TAIL


def countdown(tokens: int):
    """A chain of markings, each a layer of its own."""
    yield HEAD + f'<place id="p"><initialMarking><text>{tokens}</text></initialMarking></place><place id="q"/>'
    yield '<transition id="t"/><arc id="a" source="p" target="t"/><arc id="b" source="t" target="q"/>' + TAIL


def fan(places: int):
    """Every place has a token and a transition that takes it: as many successors, of a byte a place each."""
    yield HEAD
    for i in range(places):
        yield (f'<place id="p{i}"><initialMarking><text>1</text></initialMarking></place><transition id="t{i}"/>'
               f'<arc id="a{i}" source="p{i}" target="t{i}"/>\n')
    yield TAIL


def many_places(count: int):
    yield HEAD
    for i in range(count):
        yield f'<place id="a-place-with-a-rather-long-name-{i}"/>'
    yield TAIL


def nested(depth: int):
    yield HEAD
    yield '<place id="p"><graphics>' + "<a>" * depth + "</a>" * depth + "</graphics></place>"
    yield TAIL


def one_tag(size: int):
    yield HEAD + '<place id="p" name="'
    for _ in range(size >> 16):
        yield "x" * 65536
    yield '"/>' + TAIL


def entities():
    yield '<!DOCTYPE pnml [<!ENTITY a0 "' + "x" * 1000 + '">'
    for i in range(1, 12):
        yield f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">'
    yield ']>' + HEAD + '<place id="p"><name>&a11;</name></place>' + TAIL


def words(count: int, different: int):
    for i in range(count):
        yield f"w{'abcdefghij'[i % 10]}{chr(97 + i % different % 26)}{chr(97 + i % different // 26 % 26)} "


def phrases(sentences: int):
    """Phrases that are all different: every sentence has words of its own."""
    for i in range(sentences):
        name = "".join(chr(97 + int(digit)) for digit in str(i))
        yield " ".join(name + letter for letter in "klmnopqrst") + ". "


# name: (what expand is to search, file content, options, exit codes, what stderr says or the count of states)
CASES = {
    "places100k": (["petri"], lambda: ring(100_000), ["--max-depth", "3"], {0: "4 states", 3: "needs"}),
    "ring2000": (["petri"], lambda: ring(2000), [], {0: "2,000 states"}),
    # Layers: 350,000 of one state.
    "deep": (["petri"], lambda: countdown(350_000), ["--checkpoint", "1s"], {0: "350,001 states, 350,000 generated"}),
    "deep_states": (["petri"], lambda: countdown(100_000), ["--states", "all", "--checkpoint", "1s"], {0: "100,001 states"}),
    # Successors of one state: 4 MiB.
    "fan2000": (["petri"], lambda: fan(2000), ["--max-depth", "1"], {0: "2,001 states, 2,000 generated"}),
    "names2M": (["petri"], lambda: many_places(2_000_000), [], {3: "their part of --memory"}),
    "nested": (["petri"], lambda: nested(2_000_000), [], {1: "nested too deep|more than 4 MiB"}),
    "tag": (["petri"], lambda: one_tag(200 << 20), [], {1: "more than 4 MiB"}),
    "entities": (["petri"], entities, [], {1: "not well-formed XML: limit on input amplification"}),
    "equal_words": (["ortho"], lambda: ("a " for _ in range(200_000)), ["--max-depth", "3"], {0: "states"}),
    "words16M": (["ortho"], lambda: ("a. " for _ in range(16 << 18)), [], {0: "states"}),
    "sentence": (["ortho"], lambda: words(1_000_000, 676), [], {3: "more than 1048576 different phrases|part of --memory"}),
    "phrases": (["ortho"], lambda: phrases(20_000), ["--max-depth", "2"], {0: "states", 3: "part of --memory|too small"}),
    "word": (["ortho"], lambda: ("x" * 65536 for _ in range(64)), [], {3: "a word of more than 64 KiB"}),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spillway", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("cases", nargs="*", default=list(CASES))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in options.cases:
        problem, content, more, wanted = CASES[name]
        file, out = options.work / name, options.work / f"{name}-out"
        with file.open("w") as stream:
            stream.writelines(content())
        shutil.rmtree(out, ignore_errors=True)
        begin = time.monotonic()
        outcome = memcap.run([options.spillway, "expand", *problem, str(file), "--out", str(out), "--memory", "64MiB",
                              "--threads", "2", "--progress", "none", *more], LIMIT, timeout=60, capture=True)
        said = str(outcome.stdout) + str(outcome.stderr)
        words_wanted = wanted.get(outcome.exit_code, "no such exit code").split("|")
        good = outcome.within and any(word in said for word in words_wanted)
        failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {name}: {outcome.text()}, exit {outcome.exit_code}, "
              f"{time.monotonic() - begin:.1f} s{'' if good else ': ' + said[-500:]}")
        file.unlink()
        shutil.rmtree(out, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
