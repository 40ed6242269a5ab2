#!/usr/bin/env python3
"""Runs one end-to-end test written as text. Standard library only.

A test is a list of commands, each followed by what must hold after it (exit 0 unless said otherwise):

    # a comment
    need root                          skips the test (exit 77) unless it holds; also: need file PATH
    write PATH <<END                   a text file, up to the line END; `printf` in a command makes other bytes
    $ spillway expand pancake 8 --out $TMP/p8 --memory 32MiB
    exit 0                             or one of several: exit 1|2
    stdout ~ REGEX                     found anywhere (multi-line; ^ and $ match at lines)
    stderr ~ REGEX                     `stdout !~`, `stderr !~`: not found
    stderr lines == 1
    peak <= 32MiB                      runs the command in a memory cgroup; RssAnon + RssShmem stays at or below
    file PATH == OTHER                 the same bytes
    file PATH ~ REGEX                  also !~
    absent PATH
    layers PATH == 1 7 42              column `new` of a layers.csv
    json PATH a.b == VALUE             VALUE is JSON; a.b walks objects
    same DIR OTHER                     same files with the same bytes, report.json and report.html aside

A command runs in bash, so quotes, pipes and redirections work. $TMP is a fresh folder on a real disk, $DATA is tests/data,
$GOLDEN tests/cli/golden, $EXAMPLES the built examples, $SOURCE the source tree. `spillway` is the binary under test.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "memcap"))
import memcap  # noqa: E402

SKIPPED = 77
PLAIN_LIMIT = 1 << 40  # commands without `peak` run in no particular limit
MAY_DIFFER = {"report.json", "report.html"}


class Failure(Exception):
    pass


class Step:
    def __init__(self, number: int, command: str):
        self.number, self.command, self.checks = number, command, []


class Test:
    """The parsed file: what it needs, the files it writes (as steps of their own) and the commands with their checks."""

    def __init__(self, path: pathlib.Path):
        self.needs, self.steps = [], []
        lines = path.read_text().splitlines()
        index = 0
        while index < len(lines):
            line, number = lines[index].strip(), index + 1
            index += 1
            if not line or line.startswith("#"):
                continue
            if line.startswith("need "):
                self.needs.append(line[5:].strip())
            elif match := re.fullmatch(r"write (\S+) <<(\w+)", line):
                end = lines.index(match.group(2), index)
                self.steps.append((match.group(1), "\n".join(lines[index:end]) + "\n"))
                index = end + 1
            elif line.startswith("$ "):
                command = line[2:]
                while command.endswith("\\"):
                    command = command[:-1] + lines[index].strip()
                    index += 1
                self.steps.append(Step(number, command))
            elif self.steps and isinstance(self.steps[-1], Step):
                self.steps[-1].checks.append((number, line))
            else:
                raise Failure(f"line {number}: a check before any command: {line}")


class Runner:
    def __init__(self, options, tmp: pathlib.Path):
        self.env = dict(os.environ, TMP=str(tmp), DATA=str(HERE.parent / "data"), GOLDEN=str(HERE / "golden"),
                        SOURCE=str(HERE.parent.parent), EXAMPLES=str(options.examples), LC_ALL="C.UTF-8")
        bin_dir = tmp / ".bin"
        bin_dir.mkdir()
        (bin_dir / "spillway").symlink_to(options.spillway.resolve())
        self.env["PATH"] = f"{bin_dir}:{self.env['PATH']}"
        self.tmp, self.timeout = tmp, options.timeout

    def expand(self, text: str) -> str:
        return re.sub(r"\$(\w+)", lambda m: self.env.get(m.group(1), m.group(0)), text)

    def path(self, text: str) -> pathlib.Path:
        path = pathlib.Path(self.expand(text))
        return path if path.is_absolute() else HERE / path

    def missing(self, test: Test) -> str:
        for need in test.needs:
            kind, _, what = need.partition(" ")
            met = {"root": os.geteuid() == 0, "file": self.path(what).exists()}
            if kind not in met:
                raise Failure(f"unknown need: {need}")
            if not met[kind]:
                return need
        return ""

    def run(self, test: Test) -> None:
        for step in test.steps:
            if isinstance(step, Step):
                self.run_step(step)
            else:
                path, text = step
                self.path(path).parent.mkdir(parents=True, exist_ok=True)
                self.path(path).write_text(text)

    def run_step(self, step: Step) -> None:
        limits = [memcap.parse_size(m.group(1)) for _, line in step.checks if (m := re.fullmatch(r"peak <= (\S+)", line))]
        outcome = memcap.run(["bash", "-c", step.command], min(limits, default=PLAIN_LIMIT), timeout=self.timeout,
                             capture=True, env=self.env, cwd=self.tmp)
        checks = step.checks
        if not any(line.startswith("exit ") for _, line in checks):
            checks = [(step.number, "exit 0"), *checks]
        for number, line in checks:
            try:
                self.check(line, outcome)
            except Failure as failure:
                raise Failure(f"line {number}: {line}\n  {failure}\n  command: {step.command}\n"
                              f"  {outcome.text()}, exit {outcome.exit_code}\n"
                              f"  stdout: {tail(outcome.stdout)}\n  stderr: {tail(outcome.stderr)}") from None

    def check(self, line: str, outcome) -> None:
        for pattern, method in CHECKS:
            if match := re.fullmatch(pattern, line):
                method(self, outcome, *match.groups())
                return
        raise Failure("no such check")

    def check_exit(self, outcome, code):
        if str(outcome.exit_code) not in code.split("|"):
            raise Failure(f"the exit code is {outcome.exit_code}")

    def check_stream(self, outcome, stream, negated, regex):
        text = getattr(outcome, stream).decode(errors="replace")
        if bool(re.search(self.expand_regex(regex), text, re.MULTILINE)) == bool(negated):
            raise Failure("found" if negated else "not found")

    def expand_regex(self, regex):
        return re.sub(r"\$(TMP|DATA|GOLDEN|EXAMPLES|SOURCE)", lambda m: re.escape(self.env[m.group(1)]), regex)

    def check_lines(self, outcome, stream, count):
        found = len(getattr(outcome, stream).splitlines())
        if found != int(count):
            raise Failure(f"{found} lines")

    def check_peak(self, outcome, limit):
        if not outcome.within:
            raise Failure("went above its memory limit")

    def check_equal(self, _, left, right):
        same_bytes(self.path(left), self.path(right))

    def check_file(self, _, path, negated, regex):
        text = read(self.path(path)).decode(errors="replace")
        if bool(re.search(self.expand_regex(regex), text, re.MULTILINE)) == bool(negated):
            raise Failure(f"{'found' if negated else 'not found'} in: {text[:2000]}")

    def check_absent(self, _, path):
        if os.path.lexists(self.path(path)):
            raise Failure("it exists")

    def check_layers(self, _, path, counts):
        rows = [line.split(",") for line in read(self.path(path)).decode().splitlines()]
        column = rows[0].index("new")
        found = [row[column] for row in rows[1:]]
        if found != counts.split():
            raise Failure(f"found {' '.join(found)}")

    def check_json(self, _, path, keys, value):
        found = json.loads(read(self.path(path)))
        for key in keys.split("."):
            if not isinstance(found, dict) or key not in found:
                raise Failure(f"there is no {key!r} in {found}")
            found = found[key]
        if found != json.loads(value):
            raise Failure(f"found {json.dumps(found)}")

    def check_same(self, _, left, right):
        names = [sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and p.name not in MAY_DIFFER)
                 for root in (self.path(left), self.path(right))]
        if names[0] != names[1] or not names[0]:
            raise Failure(f"the files differ: {names[0]} and {names[1]}")
        for name in names[0]:
            same_bytes(self.path(left) / name, self.path(right) / name)


CHECKS = [
    (r"exit (\d+(?:\|\d+)*)", Runner.check_exit),
    (r"(stdout|stderr) (!?)~ (.+)", Runner.check_stream),
    (r"(stdout|stderr) lines == (\d+)", Runner.check_lines),
    (r"peak <= (\S+)", Runner.check_peak),
    (r"file (\S+) == (\S+)", Runner.check_equal),
    (r"file (\S+) (!?)~ (.+)", Runner.check_file),
    (r"absent (\S+)", Runner.check_absent),
    (r"layers (\S+) == ([\d ]+)", Runner.check_layers),
    (r"json (\S+) (\S+) == (.+)", Runner.check_json),
    (r"same (\S+) (\S+)", Runner.check_same),
]


def tail(data: bytes) -> str:
    return data.decode(errors="replace")[-2000:].strip()


def read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failure(str(error)) from None


def same_bytes(left: pathlib.Path, right: pathlib.Path) -> None:
    a, b = read(left), read(right)
    if a != b:
        at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        raise Failure(f"{left} and {right} differ from byte {at} (of {len(a)} and {len(b)}): "
                      f"{a[max(0, at - 40):at + 40]!r} and {b[max(0, at - 40):at + 40]!r}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spillway", required=True, type=pathlib.Path)
    parser.add_argument("--examples", default=pathlib.Path("/nonexistent"), type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, help="where $TMP is made (a real disk; default: beside the binary)")
    parser.add_argument("--timeout", type=float, default=300)
    parser.add_argument("test", type=pathlib.Path)
    options = parser.parse_args()
    work = (options.work or options.spillway.parent).resolve()
    work.mkdir(parents=True, exist_ok=True)
    tmp = pathlib.Path(tempfile.mkdtemp(prefix=f"{options.test.stem}.", dir=work))
    try:
        test = Test(options.test)
        runner = Runner(options, tmp)
        if missing := runner.missing(test):
            print(f"{options.test.name}: skipped, needs {missing}")
            return SKIPPED
        runner.run(test)
    except Failure as failure:
        print(f"{options.test.name}: {failure}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
