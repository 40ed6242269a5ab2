#!/usr/bin/env python3
"""Runs the engine beside its peers, in one go on one machine, and writes the table of bench/results.md.

    bench/e2e/run.py --binary build/release/spillway [--quick | --long] [--out TABLE.md] [--only TEXT]

Plain references come from the build tree of the binary (configured with -DSPILLWAY_BENCH=ON). spin and rumur are used
when installed, stateright when cargo is there (--no-stateright leaves it out). Peak is RssAnon + RssShmem, sampled every
10 ms. A run that fails, or that finds another number of states than is known, is marked as such and makes the exit 1.
"""
import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from math import factorial
from pathlib import Path

from export_jobs import ExportJobs

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/memcap"))
import memcap  # noqa: E402
KANBAN = {4: 454475, 5: 2546432, 6: 11261376, 8: 133865325}
ASCP = {10: None, 13: 30448786}
TIMEOUT_SECONDS = 3600
DATA = Path("/usr/share/RDKit/Data")
NIBR = Path("/usr/share/RDKit/Contrib/NIBRSubstructureFilters/SubstructureFilter_HitTriaging_wPubChemExamples.csv")
NIBR_COLUMNS = ["EX1", "EX2", "EX3", "EX4", "EX5"]
DEBIAN_PYTHON = "/usr/bin/python3"  # python3-rdkit is Debian's


@dataclass
class Outcome:
    job: str
    who: str
    seconds: float = 0.0
    peak_mib: float = 0.0
    states: int = 0
    note: str = ""
    spilled_mib: float | None = None
    plain: str = ""  # the reference of this job that the ratio is taken to
    cpu: float = 0.0  # seconds of user and system time, where the family takes it

    @property
    def failed(self) -> bool:
        return bool(self.note)


def memory_kib(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(n) for n in re.findall(r"^Rss(?:Anon|Shmem):\s+(\d+)", text, re.M))


def measured(command, folder):
    """(seconds, peak MiB, exit code, stdout + stderr) of a command; its processor time in measured.cpu."""
    os.sync()  # what earlier programs wrote is not this one's
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], cwd=folder, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    peak = 0
    done = threading.Event()

    def sample():
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, memory_kib(process.pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        output = process.communicate()[0] + "\ntimed out"
    finally:
        done.set()
        sampler.join()
    seconds = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    measured.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, peak / 1024, process.returncode, output


def judged(outcome, code, output, want):
    if code != 0:
        outcome.note = f"exit {code}: " + (output.strip().splitlines() or [""])[-1][:100]
    elif want is not None and outcome.states != want:
        outcome.note = f"{outcome.states:,} states instead of {want:,}"
    return outcome


def matched(pattern, output):
    found = re.search(pattern, output)
    return int(float(found.group(1).replace(",", ""))) if found else 0


class Bench:
    def __init__(self, binary, work, stateright):
        self.binary, self.work = binary.resolve(), work
        self.plain_folder = self.binary.parent / "bench"
        self.use_stateright = stateright and shutil.which("cargo") is not None
        self.outcomes = []
        work.mkdir(parents=True, exist_ok=True)

    def add(self, outcome):
        self.outcomes.append(outcome)
        print(line(outcome, self.outcomes), flush=True)

    def spillway(self, job, problem, memory, want, plain):
        out = self.work / "out"
        shutil.rmtree(out, ignore_errors=True)
        command = [self.binary, "expand", *problem, "--out", out, "--memory", memory, "--threads", 2,
                   "--progress", "none", "--resume", "never"]
        seconds, peak, code, output = measured(command, self.work)
        outcome = Outcome(job, f"spillway, {memory}", seconds, peak, plain=plain)
        if code == 0:
            outcome.states = json.loads((out / "result.json").read_text())["states"]
            written = json.loads((out / "report.json").read_text())["job"]["scratch_written_bytes"]
            outcome.spilled_mib = written / 2**20
        shutil.rmtree(out, ignore_errors=True)
        self.add(judged(outcome, code, output, want))

    def plain(self, job, who, command, want, pattern=r"distinct (\d+)"):
        seconds, peak, code, output = measured([self.plain_folder / command[0], *command[1:]], self.work)
        self.add(judged(Outcome(job, who, seconds, peak, matched(pattern, output)), code, output, want))

    def build(self, command, folder):
        done = subprocess.run([str(part) for part in command], cwd=folder, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.exit(f"{command[0]} failed:\n{done.stdout}")

    def spin(self, job, n):
        if not shutil.which("spin"):
            return
        folder = self.work / f"spin{n}"
        folder.mkdir(exist_ok=True)
        (folder / "pancake.pml").write_text(promela(n))
        self.build(["spin", "-a", "pancake.pml"], folder)
        self.build(["cc", "-O2", "-w", "-DBFS", "-DSAFETY", "-DNOREDUCE", "-DMEMLIM=20000", "-o", "pan", "pan.c"], folder)
        seconds, peak, code, output = measured([folder / "pan", "-w25"], folder)
        # The first state is the one before the array is set.
        states = matched(r"([\d.e+]+) states, stored", output) - 1
        self.add(judged(Outcome(job, "spin -DBFS", seconds, peak, states), code, output, factorial(n)))

    def rumur(self, job, n):
        if not shutil.which("rumur"):
            return
        folder = self.work / f"rumur{n}"
        folder.mkdir(exist_ok=True)
        (folder / "pancake.m").write_text(murphi(n))
        self.build(["rumur", "--threads", 2, "--deadlock-detection", "off", "--output", "pancake.c", "pancake.m"], folder)
        self.build(["cc", "-std=c11", "-O3", "-w", "-mcx16", "-o", "pancake", "pancake.c", "-lpthread", "-latomic"], folder)
        seconds, peak, code, output = measured([folder / "pancake"], folder)
        states = matched(r"(\d+) states, \d+ rules fired in", re.sub(r"\x1b\[[0-9;]*m", "", output))
        self.add(judged(Outcome(job, "rumur, 2 threads", seconds, peak, states), code, output, factorial(n)))

    def stateright(self, job, n):
        if not self.use_stateright:
            return
        source, target = ROOT / "bench/e2e/peers/stateright", self.work / "stateright"
        self.build(["cargo", "build", "--release", "--quiet", "--manifest-path", source / "Cargo.toml", "--target-dir", target], ROOT)
        seconds, peak, code, output = measured([target / "release/pancake", n, 2], self.work)
        states = matched(r"distinct (\d+)", output)
        self.add(judged(Outcome(job, "stateright, 2 threads", seconds, peak, states), code, output, factorial(n)))

    def pancake(self, n, memories, peers=True):
        job, want = f"pancake {n}", factorial(n)
        if peers:
            self.plain(job, "plain C++, 1 thread", ["plain_pancake", n], want)
            self.plain(job, "plain C++, 2 threads", ["plain_pancake", n, 2], want)
        for memory in memories:
            self.spillway(job, ["pancake", n], memory, want, "plain C++, 2 threads")
        if peers:
            self.spin(f"pancake {min(n, 10)}", min(n, 10))  # 11 does not fit its memory here
            self.rumur(job, n)
            self.stateright(job, n)

    def ascp(self, n, memories):
        job, text = f"ascp{n}", self.work / f"ascp{n}.txt"
        letters = "abcdefghijklmnopqrstuvwxyz"[:n]
        text.write_text(" ".join(f"{a} {b}." for i, a in enumerate(letters) for b in letters[i + 1:]))
        self.plain(job, "plain C++, 1 thread", ["plain_ortho", text], ASCP[n], r"(?:distinct|states) (\d+)")
        for memory in memories:
            self.spillway(job, ["ortho", text], memory, ASCP[n], "plain C++, 1 thread")

    def kanban(self, n, memories):
        job, net = f"Kanban {n}", self.work / f"kanban{n}.pnml"
        made = subprocess.run([sys.executable, ROOT / "tests/data/kanban.py", str(n)], check=True, stdout=subprocess.PIPE)
        net.write_bytes(made.stdout)
        self.plain(job, "plain C++, 1 thread", ["plain_kanban", n], KANBAN[n])
        for memory in memories:
            self.spillway(job, ["petri", net], memory, KANBAN[n], "plain C++, 1 thread")

    def dedup(self, rows, memory):
        """Rows with unique 128-bit keys, exactly; the time of writing and reading the same bytes is the reference."""
        job, scratch = f"dedup {rows:,} rows", self.work / "dedup"
        scratch.mkdir(exist_ok=True)
        seconds, peak, code, output = measured([self.plain_folder / "dedup_rows", rows, memory, scratch], self.work)
        found = json.loads(output.strip().splitlines()[-1]) if code == 0 else {}
        if found:
            self.add(Outcome(job, "disk alone: written and read once", found["disk_s"], 0, rows))
        outcome = Outcome(job, f"spillway's sort, {memory}", found.get("total_s", seconds), peak, found.get("unique", 0),
                          plain="disk alone: written and read once")
        outcome.spilled_mib = found.get("spilled", 0) / 2**20
        self.add(judged(outcome, code, output, rows))
        for limit in ("128MB", "1GB"):
            command = [ROOT / ".venv/bin/python", ROOT / "bench/e2e/peers/duckdb_distinct.py", rows, limit, scratch]
            seconds, peak, code, output = measured(command, self.work)
            who = f"DuckDB count(distinct key), {limit}"
            self.add(judged(Outcome(job, who, seconds, peak, matched(r"distinct (\d+)", output)), code, output, rows))
        shutil.rmtree(scratch, ignore_errors=True)

    def transform(self, rows):
        """OH to OMe over halogenated polyphenols, each program alone on one core; the figure a second is products."""
        if not (self.plain_folder / "plain_transform").exists():
            return
        job, library = f"OH to OMe, {rows:,} molecules, one core", self.work / f"polyphenols{rows}.smi"
        smirks, plain = "[c:1][OX2H:2]>>[c:1][O:2]C", "plain C++ RunReactants, no dedup, no Parquet"
        if not library.exists():
            made = subprocess.run([DEBIAN_PYTHON, ROOT / "bench/e2e/halogenate.py", "--count", str(rows)], check=True,
                                  stdout=subprocess.PIPE)
            library.write_bytes(made.stdout)
        core = ["taskset", "-c", "0"]
        seconds, peak, code, output = measured([*core, self.plain_folder / "plain_transform", smirks, library], self.work)
        want = matched(r'products"?\D+(\d+)', output)
        self.add(judged(Outcome(job, plain, seconds, peak, want), code, output, None))
        for memory in ("128MiB",):
            out = self.work / "products.parquet"
            seconds, peak, code, output = measured(
                [*core, self.binary, "transform", "apply", library, "--rule", "FG_PHENOL_OH__OH__TO__OMe", "--out", out,
                 "--memory", memory, "--threads", 1, "--progress", "none", "--resume", "never"], self.work)
            products = matched(r"sites: ([\d,]+) products", output)
            self.add(judged(Outcome(job, f"spillway transform, {memory}", seconds, peak, products, plain=plain), code, output, want))
            out.unlink(missing_ok=True)
        seconds, peak, code, output = measured(
            [*core, DEBIAN_PYTHON, ROOT / "bench/e2e/peers/rdkit_script.py", smirks, library, self.work / "script.parquet",
             "--processes", 1, "--out-python", ROOT / ".venv/bin/python"], self.work)
        products = matched(r'"products"?\D+(\d+)', output)
        self.add(judged(Outcome(job, "Python script: RDKit, multiprocessing, pyarrow", seconds, peak, products, plain=plain),
                        code, output, want))

    def molecule_sets(self, most):
        """All 35 rules over sets of molecule_sets.sh (fetched by hand: 255 MB), flat and by RDKit, one core; what they
        write must be the same but for the footer. The figure a second is products, of processor time."""
        for name in ("natural", "parts/01_chembl_20_chiral", "pubchem_100k"):
            source = self.work / "sets" / f"{name}.smi"
            if not source.exists():
                print(f"{source} is not there: bench/e2e/molecule_sets.sh {source.parent}", file=sys.stderr)
                continue
            lines = source.read_text().splitlines()[:most]
            library = self.work / "set.smi"
            library.write_text("\n".join(lines) + "\n")
            job, pages = f"35 rules, {len(lines):,} of {name}, one core", []
            for way in ("rdkit", "flat"):
                out = self.work / f"{way}.parquet"
                seconds, peak, code, output = measured(
                    ["taskset", "-c", "0", self.binary, "transform", "apply", library, "--rule", "all", "--out", out, "--memory", "128MiB",
                     "--threads", 1, "--progress", "none", "--resume", "never", "--overwrite", "--chemistry", way], self.work)
                products = matched(r"sites: ([\d,]+) products", output)
                outcome = Outcome(job, f"--chemistry {way}", seconds, peak, products, cpu=measured.cpu, plain="--chemistry rdkit")
                self.add(judged(outcome, code, output, None))
                if code == 0:
                    data = out.read_bytes()
                    pages.append(data[:len(data) - 8 - int.from_bytes(data[-8:-4], "little")])
            if len(pages) == 2 and pages[0] != pages[1]:
                self.outcomes[-1].note = "the pages differ from those that RDKit alone makes"

    def library(self, steps):
        """Millions of molecules to their iodides under a memory cgroup; DuckDB, without one, counts what came out."""
        columns = [word for name in NIBR_COLUMNS for word in ("--smiles-column", name)]
        inputs = {DATA / "NCI/first_5K.smi": [], DATA / "Pains/test_data/wehi_mols.csv": ["--no-header", "--smiles-column", 1], NIBR: columns}
        made, out = self.work / "library.parquet", self.work / "iodides.parquet"
        apply = [self.binary, "transform", "apply", "--memory", "128MiB", "--threads", 2, "--progress", "none", "--resume", "never"]
        sources = []
        for number, (path, more) in enumerate(inputs.items()):
            sources.append(self.work / f"halogenated{number}.parquet")
            self.prepared([*apply, path, *more, "--rule", "R1_F,R1_Cl,R1_Br,phenol,amine_aromatic,amine_aliphatic,carboxyl", "--steps", steps, "--out", sources[-1]])
        self.prepared([self.binary, "transform", "merge", *sources, "--out", made, "--memory", "128MiB", "--progress", "none"])
        rows = self.counted(made, "rows")
        job = f"iodides of {rows:,} molecules"
        outcome, output = self.capped(job, [*apply, made, "--rule", "R1_I", "--out", out])
        outcome.states = matched(r"sites: ([\d,]+) products", output)
        unique = matched(r"([\d,]+) unique", output)
        self.add(outcome)
        start = time.monotonic()
        distinct = self.counted(out, "distinct")
        counted = Outcome(job, "DuckDB count(distinct smiles) of the result, no limit", time.monotonic() - start, 0, distinct)
        self.add(judged(counted, 0, "", unique))

    def capped(self, job, command):
        """A run of spillway at 128MiB in a memory cgroup."""
        run = memcap.run([str(part) for part in command], memcap.parse_size("128MiB"))
        output = (run.stdout + run.stderr).decode()
        outcome = Outcome(job, f"spillway, 128MiB, {run.method}", run.seconds, run.peak / 2**20)
        if not run.within:
            outcome.note = run.text()
        return judged(outcome, run.exit_code, output, None), output

    def prepared(self, command):
        outcome, output = self.capped("preparing", command)
        if outcome.failed:
            sys.exit(f"{' '.join(map(str, command))}: {outcome.note}\n{output}")

    def counted(self, parquet, what):
        expression = "count(*)" if what == "rows" else "count(distinct smiles)"
        code = f"import duckdb; print(duckdb.sql(\"select {expression} from '{parquet}'\").fetchall()[0][0])"
        return int(subprocess.run([ROOT / ".venv/bin/python", "-c", code], check=True, stdout=subprocess.PIPE).stdout)


    def export(self, grid, volume):
        """Labelled volumes, each program alone on one core; the figure a second is blocks."""
        if not (self.plain_folder / "plain_export").exists():
            return
        jobs = ExportJobs(self, sys.modules[__name__])
        jobs.stream(grid)
        jobs.volume(volume, tensorstore=True)


def promela(n):
    flips = []
    for count in range(2, n + 1):
        swaps = "; ".join(f"t = s[{i}]; s[{i}] = s[{count - 1 - i}]; s[{count - 1 - i}] = t" for i in range(count // 2))
        flips.append(f"  :: d_step {{ {swaps}; t = 0 }}")
    start = "; ".join(f"s[{i}] = {i}" for i in range(n))
    return f"byte s[{n}]; byte t;\nactive proctype stack() {{\n  d_step {{ {start} }};\n  do\n" + "\n".join(flips) + "\n  od\n}\n"


def murphi(n):
    return f"""const N: {n};
type index: 0 .. N - 1;
type stack: array[index] of index;
var s: stack;
startstate begin for i: index do s[i] := i; end; end;
ruleset last: 1 .. N - 1 do
  rule "flip" var t: stack;
  begin
    t := s;
    for i: index do if i <= last then s[i] := t[last - i]; end; end;
  end;
end;
"""


def rate(outcome):
    each = outcome.states / outcome.seconds
    return f"{each / 1e6:.2f} M" if each > 100_000 else f"{each:,.0f}"


def line(outcome, outcomes):
    if outcome.failed:
        return f"| {outcome.job} | {outcome.who} | failed | {outcome.peak_mib:,.0f} MiB | | | {outcome.note} |"
    reference = next((o for o in outcomes if o.job == outcome.job and o.who == outcome.plain and not o.failed), None)
    ratio = f"{outcome.seconds / reference.seconds:.2f}" if reference else ""
    cpu = f" (cpu {outcome.cpu:.1f} s)" if outcome.cpu else ""
    spilled = "" if outcome.spilled_mib is None else f"{outcome.spilled_mib:,.0f} MiB"
    return (f"| {outcome.job} | {outcome.who} | {outcome.seconds:.1f} s{cpu} | {outcome.peak_mib:,.0f} MiB "
            f"| {rate(outcome)} | {ratio} | {spilled} |")


HEADER = "| job | who | time | peak | states, products or blocks/s | ratio to plain | spilled |\n|---|---|---|---|---|---|---|"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=ROOT / "build/release/spillway")
    parser.add_argument("--work", type=Path, default=ROOT / "build/e2e", help="folder for models, peers and outputs")
    parser.add_argument("--out", type=Path, help="also write the table here")
    parser.add_argument("--only", default="", help="only the families whose name contains this: pancake, ascp, kanban, transform, dedup, export")
    parser.add_argument("--no-stateright", action="store_true")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small sizes, to see that all of it works")
    size.add_argument("--long", action="store_true", help="also pancake 12, Kanban 8, and a library of millions of molecules")
    options = parser.parse_args()
    if not options.binary.exists():
        sys.exit(f"{options.binary} is not there: ./run bench builds it")

    bench = Bench(options.binary, options.work.resolve(), not options.no_stateright)
    both, small = ["8GiB", "64MiB"], ["64MiB"]
    jobs = {"pancake": lambda: bench.pancake(9 if options.quick else 11, both),
            "ascp": lambda: bench.ascp(10 if options.quick else 13, both),
            "kanban": lambda: bench.kanban(4 if options.quick else 6, small),
            "transform": lambda: bench.transform(2000 if options.quick else 100_000),
            "transform sets": lambda: bench.molecule_sets(2000 if options.quick else 100_000),
            "export": lambda: bench.export((16, 16, 16) if options.quick else (48, 48, 44),
                                           (4, 4, 4) if options.quick else (16, 8, 8)),
            "dedup": lambda: bench.dedup(10**6 if options.quick else 10**8, "64MiB")}
    if options.long:
        jobs["long pancake"] = lambda: bench.pancake(12, ["256MiB"], peers=False)
        jobs["long library"] = lambda: bench.library(2)
        jobs["long kanban"] = lambda: bench.kanban(8, ["256MiB"])
    print(HEADER)
    for name, job in jobs.items():
        if options.only in name:
            job()
    table = "\n".join([HEADER, *(line(o, bench.outcomes) for o in bench.outcomes)]) + "\n"
    if options.out:
        options.out.write_text(f"{os.cpu_count()} processors, {time.strftime('%Y-%m-%d')}\n\n{table}")
    return 1 if any(o.failed for o in bench.outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
