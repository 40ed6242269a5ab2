#!/usr/bin/env python3
"""Checks the source tree against the layers and the map of rooms in ARCHITECTURE.md; exits 1 and lists every breach.

Layers   core <- format, net (neither sees the other) <- the jobs (never each other) <- cli.
Rooms    A room is a folder of src/ and the files in it. No circles among the rooms; at most 30 sources a room, tests
         not counted. The map of rooms in ARCHITECTURE.md names every room and what it sees, no more and no less.
Files    Only core/file calls the system about files (and so passes the fault sites); UNSEEN lists what is not a file of
         the user's.
Further  No folder named utils, common, misc, helpers or base, and no folder with one file.

--map prints the map as the tree has it, with the number of sources and the floor (the longest way down) of each room;
--update writes what each room sees into the map.
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
MOST_IN_A_ROOM = 30
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
MAP_ROW = re.compile(r"^\| `(\w+(?:/\w+)*)` \|[^|]*\|([^|]*)\|$")
CALLS = ("open openat creat read pread readv preadv write pwrite writev fallocate posix_fallocate ftruncate truncate fsync "
         "fdatasync syncfs rename renameat unlink unlinkat rmdir mkdir mkdirat link symlink stat fstat lstat fstatat statx "
         "statfs statvfs opendir readdir flock mkstemp mkostemp fopen access")
FILE_CALL = re.compile(r"(?<![\w>])::(?:" + "|".join(CALLS.split()) + r")\(|\bstd::[io]?fstream\b|\bfs::\w|"
                       r"\bstd::filesystem::(?!path\b)\w")
UNSEEN = {
    "core/damage.hpp", "core/test_folder.hpp", "expand/engine/search_fixture.hpp",  # of tests
    "core/memory/procstat.cpp",           # /proc and cgroups
    "expand/foreign/pipe_process.cpp",    # pipes
    "expand/foreign/plugin_watch.cpp",    # the last line on stderr
    "transform/chemistry/rules.cpp",      # /proc/self/exe
    "export/job/neuroglancer_link.cpp",   # names only
    "expand/problem/input.cpp",           # waits for a pipe and for the stop
}
SOURCES = {".hpp", ".cpp", ".h", ".c"}


def sources(src: pathlib.Path) -> list[pathlib.Path]:
    return sorted(p for p in src.rglob("*") if p.suffix in SOURCES)


def is_test(path: pathlib.Path) -> bool:
    return path.stem.endswith("_test")


def includes(path: pathlib.Path) -> list[tuple[int, str]]:
    lines = enumerate(path.read_text().splitlines(), 1)
    return [(number, match.group(1)) for number, line in lines if (match := INCLUDE.match(line))]


def room_of(name: str) -> str:
    return name.rsplit("/", 1)[0]


def rooms(src: pathlib.Path) -> dict[str, set[str]]:
    """Every room and the rooms that its sources include; tests may look anywhere within their layer's sight."""
    found: dict[str, set[str]] = {}
    for path in sources(src):
        room = str(path.relative_to(src).parent)
        sees = found.setdefault(room, set())
        if not is_test(path):
            sees |= {room_of(target) for _, target in includes(path)} - {room}
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The rooms of one circle, first and last the same, or nothing."""
    done: set[str] = set()

    def walk(room: str, way: list[str]) -> list[str]:
        if room in way:
            return way[way.index(room):] + [room]
        if room in done:
            return []
        for target in sorted(graph.get(room, ())):
            if found := walk(target, way + [room]):
                return found
        done.add(room)
        return []

    for room in sorted(graph):
        if found := walk(room, []):
            return found
    return []


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    found: dict[str, int] = {}

    def floor(room: str) -> int:
        if room not in found:
            found[room] = 1 + max((floor(target) for target in graph.get(room, ())), default=0)
        return found[room]

    for room in graph:
        floor(room)
    return found


def breaches(src: pathlib.Path, architecture: pathlib.Path | None = None) -> list[str]:
    found = []
    for folder in sorted(p for p in src.rglob("*") if p.is_dir()):
        name = folder.relative_to(src)
        if folder.name in FORBIDDEN_NAMES:
            found.append(f"{name}: a folder must not be called '{folder.name}'")
        if len(list(folder.iterdir())) == 1:
            found.append(f"{name}: a folder with one file")
        if folder.parent == src and folder.name not in MAY_SEE:
            found.append(f"{name}: not a layer ({', '.join(MAY_SEE)})")
        count = len([p for p in folder.iterdir() if p.suffix in SOURCES and not is_test(p)])
        if count > MOST_IN_A_ROOM:
            found.append(f"{name}: {count} sources in one room; at most {MOST_IN_A_ROOM}")
    for path in sources(src):
        found += file_breaches(src, path)
    graph = rooms(src)
    if way := circle(graph):
        found.append(f"the rooms {' -> '.join(way)} see each other in a circle")
    if architecture is not None:
        found += map_breaches(graph, architecture)
    return found


def file_breaches(src: pathlib.Path, path: pathlib.Path) -> list[str]:
    found = []
    layer = path.relative_to(src).parts[0]
    for number, name in includes(path):
        where = f"{path.relative_to(src)}:{number}"
        target = name.split("/")
        if len(target) < 2 or target[0] in (".", ".."):
            found.append(f'{where}: "{name}" must be named from src, as "layer/room/file.hpp"')
        elif target[0] not in MAY_SEE.get(layer, {target[0]}):
            found.append(f"{where}: {layer} may not see {target[0]}")
        elif not (src / name).exists():
            found.append(f'{where}: there is no "{name}"')
    if room_of(str(path.relative_to(src))) != "core/file" and str(path.relative_to(src)) not in UNSEEN and not is_test(path):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if match := FILE_CALL.search(line.split("//")[0]):
                found.append(f"{path.relative_to(src)}:{number}: {match.group(0)} is for core/file only")
    return found


def seen_text(room: str, graph: dict[str, set[str]]) -> str:
    """What a row of the map says: rooms of the same layer by their last name, others whole."""
    layer = room.split("/")[0]
    names = [target.split("/", 1)[1] if target.startswith(layer + "/") else target for target in sorted(graph[room])]
    return ", ".join(names)


def map_breaches(graph: dict[str, set[str]], architecture: pathlib.Path) -> list[str]:
    rows = {}
    for line in architecture.read_text().splitlines():
        if match := MAP_ROW.match(line):
            rows[match.group(1)] = match.group(2).strip()
    found = [f"{architecture.name}: the map has no room {room}" for room in sorted(graph.keys() - rows.keys())]
    found += [f"{architecture.name}: src has no room {room}" for room in sorted(rows.keys() - graph.keys())]
    for room in sorted(graph.keys() & rows.keys()):
        if rows[room] != seen_text(room, graph):
            found.append(f"{architecture.name}: {room} sees '{seen_text(room, graph)}', the map says '{rows[room]}'")
    return found


def print_map(src: pathlib.Path) -> None:
    graph = rooms(src)
    height = floors(graph)
    print(f"{'room':<24} {'sources':>7} {'floor':>5}  sees")
    for room in sorted(graph):
        count = len([p for p in (src / room).iterdir() if p.suffix in SOURCES and not is_test(p)])
        print(f"{room:<24} {count:>7} {height[room]:>5}  {seen_text(room, graph)}")


def update_map(src: pathlib.Path, architecture: pathlib.Path) -> None:
    graph = rooms(src)
    lines = architecture.read_text().splitlines(keepends=True)
    for i, line in enumerate(lines):
        match = MAP_ROW.match(line.rstrip("\n"))
        if match and match.group(1) in graph:
            seen = seen_text(match.group(1), graph)
            lines[i] = line[:match.start(2)] + (f" {seen} |\n" if seen else " |\n")
    architecture.write_text("".join(lines))


def self_test() -> list[str]:
    """A tree with one breach of each kind must be seen as such, and the same tree without them as clean."""
    files = {
        "core/a.hpp": "", "core/b.hpp": '#include "core/a.hpp"\n',
        "core/disk/a.hpp": '#include "core/a.hpp"\n', "core/disk/b.hpp": "",
        "format/a.hpp": '#include "core/a.hpp"\n', "format/b.hpp": "",
        "expand/a.hpp": '#include "format/b.hpp"\n', "expand/b.hpp": "",
    }
    rows = ["| `core` | first | |", "| `core/disk` | files | core |", "| `format` | bytes | core |",
            "| `expand` | search | format |"]
    bad = {
        "core/up.hpp": ('#include "expand/a.hpp"\n', "core may not see expand"),
        "expand/side.hpp": ('#include "sync/x.hpp"\n', "expand may not see sync"),
        "expand/near.hpp": ('#include "b.hpp"\n', "must be named from src"),
        "core/raw.hpp": ("int fd = ::open(path, 0);\n", "::open( is for core/file only"),
        "core/std.hpp": ("std::ofstream out(path);\n", "std::ofstream is for core/file only"),
        "core/gone.hpp": ('#include "core/gone_too.hpp"\n', "there is no"),
        "core/round.hpp": ('#include "core/disk/a.hpp"\n', "core -> core/disk -> core see each other in a circle"),
        "core/utils/a.hpp": ("", "must not be called"),
        "net/only.hpp": ("", "a folder with one file"),
        "extra/a.hpp": ("", "not a layer"),
        "format/wide.hpp": ('#include "core/disk/a.hpp"\n', "format sees 'core, core/disk', the map says 'core'"),
        "core/memory/a.hpp": ("", "the map has no room core/memory"),
    }
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        src = pathlib.Path(folder) / "src"
        architecture = pathlib.Path(folder) / "ARCHITECTURE.md"
        architecture.write_text("\n".join(rows))
        for name, text in files.items():
            (src / name).parent.mkdir(parents=True, exist_ok=True)
            (src / name).write_text(text)
        if breaches(src, architecture):
            wrong.append(f"a clean tree was refused: {breaches(src, architecture)}")
        for name, (text, expected) in bad.items():
            path = src / name
            made = not path.parent.exists()
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            if not any(expected in breach for breach in breaches(src, architecture)):
                wrong.append(f"{name} was not refused with '{expected}': {breaches(src, architecture)}")
            path.unlink()
            if made:
                path.parent.rmdir()
        (src / "format/late.hpp").write_text('#include "core/disk/a.hpp"\n')
        update_map(src, architecture)
        if breaches(src, architecture):
            wrong.append(f"the updated map was refused: {breaches(src, architecture)}")
        (src / "format/late.hpp").unlink()
        architecture.write_text("\n".join(rows + ["| `net` | wires | core |"]))
        if not any("src has no room net" in breach for breach in breaches(src, architecture)):
            wrong.append("a room that is only on the map was not refused")
        crowd = [src / "format" / f"f{i}.hpp" for i in range(MOST_IN_A_ROOM)]
        for path in crowd:
            path.write_text("")
        if not any("sources in one room" in breach for breach in breaches(src)):
            wrong.append("a crowded room was not refused")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top = pathlib.Path(__file__).resolve().parent.parent
    parser.add_argument("--src", type=pathlib.Path, default=top / "src")
    parser.add_argument("--architecture", type=pathlib.Path, default=top / "ARCHITECTURE.md")
    parser.add_argument("--map", action="store_true")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.update:
        update_map(options.src, options.architecture)
    if options.map:
        print_map(options.src)
        return 0
    found = self_test() if options.self_test else breaches(options.src, options.architecture)
    for breach in found:
        print(breach, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
