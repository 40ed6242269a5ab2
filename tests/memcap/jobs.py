"""The searches that the memory, crash and disk tests run, and how two finished output folders are compared."""
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "data"))
import kanban  # noqa: E402
import texts  # noqa: E402

MAY_DIFFER = {"report.json", "report.html"}


def inputs(folder: pathlib.Path) -> None:
    """Writes the input files of all jobs."""
    folder.mkdir(parents=True, exist_ok=True)
    for tokens in (3, 4):
        (folder / f"kanban{tokens}.pnml").write_text("\n".join(kanban.pnml(tokens)) + "\n")
    for name in ("ascp10", "pairs5"):
        (folder / f"{name}.txt").write_text(texts.text(name))


def job(name: str, folder: pathlib.Path) -> list[str]:
    """The words after `spillway expand`."""
    return {
        "pancake8": ["pancake", "8"],
        "pancake9": ["pancake", "9"],
        "pancake10": ["pancake", "10"],
        "pancake11": ["pancake", "11"],
        "kanban3": ["petri", str(folder / "kanban3.pnml")],
        "kanban4": ["petri", str(folder / "kanban4.pnml")],
        "ascp10": ["ortho", str(folder / "ascp10.txt")],
        "pairs5": ["ortho", str(folder / "pairs5.txt")],
        "hanoi": ["hanoi", "--pegs", "4", "--discs", "8"],
        "cube2": ["cube2", "htm"],
        "puzzle": ["puzzle", "3x3", "--blank", "0,0"],
    }[name]


def minimum_memory(spillway: str, words: list[str], out: pathlib.Path, options=()) -> str:
    """The least --memory the job takes, as its own refusal tells it."""
    refused = subprocess.run([spillway, "expand", *words, "--out", str(out), "--memory", "1MiB", *options],
                             capture_output=True, text=True)
    match = re.search(r"needs at least ([0-9.]+) ?([KMG]iB)", refused.stderr)
    if refused.returncode != 3 or not match:
        raise AssertionError(f"--memory 1MiB was not refused with the number: exit {refused.returncode}, {refused.stderr}")
    return match.group(1) + match.group(2)


def files(folder: pathlib.Path) -> dict[str, bytes]:
    """Every file that must repeat, by name. An output folder of a finished run holds nothing hidden."""
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in MAY_DIFFER}


def differences(left: dict[str, bytes], right: dict[str, bytes]) -> str:
    """"" when equal, else the first difference in words."""
    if left.keys() != right.keys():
        return f"files {sorted(left)} and {sorted(right)}"
    for name, data in left.items():
        if data != right[name]:
            return f"{name} differs ({len(data)} and {len(right[name])} bytes)"
    return ""
