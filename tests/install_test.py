#!/usr/bin/env python3
"""`cmake --install` gives a folder that runs wherever it is moved, with the libraries it brings and not the build's."""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile


def check(build: pathlib.Path, work: pathlib.Path) -> None:
    subprocess.run(["cmake", "--install", str(build), "--prefix", str(work / "first")], check=True, capture_output=True)
    moved = work / "elsewhere" / "spillway"
    moved.parent.mkdir()
    (work / "first").rename(moved)
    binary = moved / "bin" / "spillway"

    linked = subprocess.run(["ldd", str(binary)], check=True, capture_output=True, text=True).stdout
    for name, path in re.findall(r"(lib(?:arrow|parquet)\S*) => (\S+)", linked):
        if moved.resolve() not in pathlib.Path(path).resolve().parents and not path.startswith("/usr/lib"):
            raise AssertionError(f"{name} is taken from {path}")
    if "not found" in linked:
        raise AssertionError(linked)

    out = work / "out"
    states = ["--states", "all"] if "libparquet" in linked else []
    done = subprocess.run([str(binary), "expand", "pancake", "7", "--memory", "64MiB", "--out", str(out), *states],
                          capture_output=True, text=True, cwd="/", env={"PATH": "/usr/bin:/bin"})
    if done.returncode != 0:
        raise AssertionError(f"exit {done.returncode}: {done.stderr}")
    if '"states": 5040' not in (out / "result.json").read_text():
        raise AssertionError((out / "result.json").read_text())
    for name in ("share/man/man1/spillway.1", "share/bash-completion/completions/spillway", "share/doc/spillway/LICENSE",
                 "share/spillway/rules/standard.yaml"):
        if not (moved / name).is_file():
            raise AssertionError(f"{name} is not installed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, type=pathlib.Path)
    options = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="install.", dir=options.build))
    try:
        check(options.build, work)
    except AssertionError as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
