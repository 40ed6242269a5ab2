#!/usr/bin/env python3
"""Checks the source tree against the layer table of ARCHITECTURE.md; exits 1 and lists every breach.

core <- format, net (neither sees the other) <- the jobs (never each other) <- cli. Further: no folder named utils,
common, misc, helpers or base, and no folder with one file.
"""
import argparse
import pathlib
import re
import sys
import tempfile

JOBS = ("expand", "transform", "export", "sync", "store")
MAY_SEE = {"core": {"core"}, "format": {"core", "format"}, "net": {"core", "net"}}
for job in JOBS:
    MAY_SEE[job] = {"core", "format", "net", job}
MAY_SEE["cli"] = {"core", "format", "net", "cli", *JOBS}
FORBIDDEN_NAMES = {"utils", "util", "common", "misc", "helpers", "base"}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
SOURCES = {".hpp", ".cpp", ".h", ".c"}


def breaches(src: pathlib.Path) -> list[str]:
    found = []
    for folder in sorted(p for p in src.rglob("*") if p.is_dir()):
        name = folder.relative_to(src)
        if folder.name in FORBIDDEN_NAMES:
            found.append(f"{name}: a folder must not be called '{folder.name}'")
        if len(list(folder.iterdir())) == 1:
            found.append(f"{name}: a folder with one file")
        if folder.parent == src and folder.name not in MAY_SEE:
            found.append(f"{name}: not a layer ({', '.join(MAY_SEE)})")
    for path in sorted(p for p in src.rglob("*") if p.suffix in SOURCES):
        found += file_breaches(src, path)
    return found


def file_breaches(src: pathlib.Path, path: pathlib.Path) -> list[str]:
    found = []
    layer = path.relative_to(src).parts[0]
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        where = f"{path.relative_to(src)}:{number}"
        target = match.group(1).split("/")
        if len(target) < 2 or target[0] in (".", ".."):
            found.append(f'{where}: "{match.group(1)}" must be named from src, as "layer/file.hpp"')
        elif target[0] not in MAY_SEE.get(layer, {target[0]}):
            found.append(f"{where}: {layer} may not see {target[0]}")
        elif not (src / match.group(1)).exists():
            found.append(f'{where}: there is no "{match.group(1)}"')
    return found


def self_test() -> list[str]:
    """A tree with one breach of each kind must be seen as such, and the same tree without them as clean."""
    files = {
        "core/a.hpp": "", "core/b.hpp": '#include "core/a.hpp"\n',
        "format/a.hpp": '#include "core/a.hpp"\n', "format/b.hpp": "",
        "expand/a.hpp": '#include "format/b.hpp"\n', "expand/b.hpp": "",
    }
    bad = {
        "core/up.hpp": ('#include "expand/a.hpp"\n', "core may not see expand"),
        "expand/side.hpp": ('#include "sync/x.hpp"\n', "expand may not see sync"),
        "expand/near.hpp": ('#include "b.hpp"\n', "must be named from src"),
        "core/gone.hpp": ('#include "core/gone_too.hpp"\n', "there is no"),
        "core/utils/a.hpp": ("", "must not be called"),
        "net/only.hpp": ("", "a folder with one file"),
        "extra/a.hpp": ("", "not a layer"),
    }
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        src = pathlib.Path(folder)
        for name, text in files.items():
            (src / name).parent.mkdir(parents=True, exist_ok=True)
            (src / name).write_text(text)
        if breaches(src):
            wrong.append(f"a clean tree was refused: {breaches(src)}")
        for name, (text, expected) in bad.items():
            path = src / name
            made = not path.parent.exists()
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            if not any(expected in breach for breach in breaches(src)):
                wrong.append(f"{name} was not refused with '{expected}'")
            path.unlink()
            if made:
                path.parent.rmdir()
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--src", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent / "src")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    found = self_test() if options.self_test else breaches(options.src)
    for breach in found:
        print(breach, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
