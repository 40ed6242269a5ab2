#!/usr/bin/env python3
"""A stop ends every command: SIGINT, SIGTERM or SIGHUP, at a random moment of its work or while it waits for something
that says nothing (a pipe, a plugin, a program, a server, a reader of its own output).

kill -9 comes among them, too.

Within two seconds: exit 130 (or, when it was done before the signal came, what it gives undisturbed), no output under
its final name that is not whole, a report marked as interrupted where the command writes reports, no child left. The
same command again then ends with the bytes of an undisturbed run and leaves nothing else.

--seconds takes the moments at random, from a printed seed; without it all are tried.
"""
import argparse
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MOST_SECONDS = 2.0
PARTS = tuple(i / 12 for i in range(13))  # of the undisturbed time, and a little more or less
HANGS = """#include "expand/plugin_abi.h"
#include <unistd.h>
#include <string.h>
static int where;
static void* create(int argc, const char* const* argv, char* error, size_t size) {
  (void)error; (void)size;
  where = argc > 0 && !strcmp(argv[0], "expand") ? 2 : argc > 0 && !strcmp(argv[0], "initial") ? 1 : 0;
  if (where == 0) for (;;) sleep(60);
  return &where;
}
static void destroy(void* self) { (void)self; }
static int initial(const void* self, const spillway_sink* sink) {
  (void)self;
  if (where == 1) for (;;) sleep(60);
  return sink->push(sink->context, (const uint8_t*)"0", 1);
}
static int expand(const void* self, const uint8_t* state, uint32_t size, const spillway_sink* sink) {
  (void)self; (void)state; (void)size; (void)sink;
  for (;;) sleep(60);
}
const spillway_problem_v1* spillway_problem(void) {
  static spillway_problem_v1 problem = {SPILLWAY_PROBLEM_ABI, sizeof(spillway_problem_v1), 64, "hangs", create, destroy, initial,
                                     expand, 0, 0, 0};
  return &problem;
}
"""


@dataclasses.dataclass
class Job:
    name: str
    words: list[str]
    report: bool = True  # writes one at --report
    seconds: float = 0.0
    wanted: dict[str, bytes] = dataclasses.field(default_factory=dict)
    said: str = ""


@dataclasses.dataclass
class Wait:
    """What waits until it is stopped. `made` opens what it needs beside its words."""
    name: str
    words: list[str]
    stdin: bool = False    # a pipe that says nothing
    deaf: str = ""         # of "stdout", "stderr": a full pipe that nobody reads
    refused: bool = False  # may be refused, or not need it, at once: nothing waits then
    blamed: bool = False   # may end as that one's fault, exit 1


def block(x: int, y: int, z: int, label: int) -> bytes:
    return struct.pack("<iiiiIIIIQ", x, y, z, 24, 8, 8, 8, 1, label)


def info(side: int) -> str:
    size = json.dumps([64 * side] * 3)
    return ('{"@type": "neuroglancer_multiscale_volume", "type": "segmentation", "data_type": "uint64", "num_channels": 1, '
            f'"scales": [{{"key": "8_8_8", "size": {size}, "resolution": [8, 8, 8], "voxel_offset": [0, 0, 0], '
            '"chunk_sizes": [[64, 64, 64]], "encoding": "compressed_segmentation", "compressed_segmentation_block_size": [8, 8, 8], '
            '"sharding": {"@type": "neuroglancer_uint64_sharded_v1", "hash": "identity", "preshift_bits": 3, "minishard_bits": 3, '
            '"shard_bits": 12, "minishard_index_encoding": "gzip", "data_encoding": "gzip"}}]}')


class Stops:
    def __init__(self, spillway: str, work: pathlib.Path, rng: random.Random):
        self.spillway, self.work, self.rng = os.path.abspath(spillway), work, rng
        self.inputs, self.out, self.report = work / "inputs", work / "out", work / "report.json"
        shutil.rmtree(work, ignore_errors=True)
        self.inputs.mkdir(parents=True)
        self.common = ["--memory", "96MiB", "--threads", "2", "--progress", "none"]

    def plain(self, words: list[str]) -> subprocess.CompletedProcess:
        done = subprocess.run([self.spillway, *words], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: exit {done.returncode}: {done.stderr}")
        return done

    def begin(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        self.report.unlink(missing_ok=True)

    def files(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.out)): path.read_bytes() for path in sorted(self.out.rglob("*"))
                if path.is_file() and not path.name.endswith(("report.json", "report.html"))}

    # What is stopped while it works.

    def jobs(self) -> list[Job]:
        sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "memcap"))
        import jobs  # noqa: PLC0415
        jobs.inputs(self.inputs)
        out, common = str(self.out), self.common
        made = [Job(f"expand-{name}", ["expand", *jobs.job(name, self.inputs), "--out", out + "/e", "--states", states, *common])
                for name, states in (("pancake10", "none"), ("pancake9", "all"), ("kanban4", "ids"), ("ascp10", "none"),
                                     ("hanoi", "ids"), ("cube2", "none"), ("puzzle", "all"))]
        made.append(Job("expand-pipe", ["expand", "pipe", "--format", "json", "--out", out + "/e", *common, "--",
                                        sys.executable, "-c", COUNTER]))
        made += self.export_jobs(out)
        if "transform" in self.plain(["--help"]).stdout:
            made += self.transform_jobs(out)
        return made

    def export_jobs(self, out: str) -> list[Job]:
        side, common = 20, self.common
        (self.inputs / "info").write_text(info(side))
        places = [(x, y, z) for z in range(side) for y in range(side) for x in range(side)]
        self.rng.shuffle(places)
        with open(self.inputs / "stream", "wb") as stream:
            for number, (x, y, z) in enumerate(places):
                stream.write(block(x, y, z, 1 + number % 40000))
        with open(self.inputs / "map", "w") as mapping:
            mapping.writelines(f"{1 + number} {1 + number // 7}\n" for number in range(300000))
        spec, mapping = ["--spec", str(self.inputs / "info")], ["--mapping", str(self.inputs / "map")]
        run = ["export", "run", str(self.inputs / "stream"), *spec]
        shards, volume = str(self.inputs / "shards"), str(self.inputs / "volume")
        self.plain([*run, *mapping, "--out", shards, *common])
        self.plain([*run, "--to", "precomputed", "--out", volume, *common])
        return [
            Job("export-arrow", [*run, *mapping, "--out", out + "/x", *common]),
            Job("export-precomputed", [*run, "--to", "precomputed", "--out", out + "/x", *common]),
            Job("export-volume", ["export", "run", volume, *spec, "--out", out + "/x", *common]),
            Job("export-plan", ["export", "plan", volume, *spec, *mapping, *common], report=False),
            Job("export-remap", ["export", "remap", shards, *spec, *mapping, "--out", out + "/x", *common]),
            Job("export-verify", ["export", "verify", shards, *mapping, *common[:2]], report=False),
            Job("export-verify-volume", ["export", "verify", volume, *common[:2]], report=False),
        ]

    def transform_jobs(self, out: str) -> list[Job]:
        common = self.common
        with open(self.inputs / "a.smi", "w") as rows:
            for number in range(3000):
                tail = "".join("CNO"[number // 3**i % 3] + "C" for i in range(8))
                rows.write(f"{tail}C(=O)Oc1ccc(O)cc1{'CO'[number % 2]} m{number}\n")
        apply = ["transform", "apply", str(self.inputs / "a.smi"), "--rule", "phenol"]
        table, by_input = str(self.inputs / "a.parquet"), str(self.inputs / "b.parquet")
        self.plain([*apply, "--out", table, *common])
        self.plain([*apply, "--order", "input", "--out", by_input, *common])
        return [
            Job("transform-apply", [*apply, "--rejects", out + "/r.tsv", "--out", out + "/a.parquet", *common]),
            Job("transform-apply-input", [*apply, "--order", "input", "--known", by_input, "--out", out + "/a.parquet", *common]),
            Job("transform-merge", ["transform", "merge", table, by_input, *[by_input] * 3, "--out", out + "/m.parquet", *common]),
            Job("transform-stats", ["transform", "stats", table], report=False),
            Job("transform-verify", ["transform", "verify", table, by_input], report=False),
        ]

    def measure(self, job: Job) -> None:
        self.begin()
        begin = time.monotonic()
        job.said = said(self.plain(job.words).stdout)
        job.seconds = time.monotonic() - begin
        job.wanted = self.files()

    def words_of(self, job: Job) -> list[str]:
        if not job.report:
            return job.words
        at = job.words.index("--") if "--" in job.words else len(job.words)
        return [*job.words[:at], "--report", str(self.report), *job.words[at:]]

    def check_work(self, job: Job, number: signal.Signals, part: float) -> str:
        """What is wrong after that signal at that part of the job's time; "" for nothing."""
        self.begin()
        process = subprocess.Popen([self.spillway, *self.words_of(job)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, text=True)
        try:
            wait_until_it_listens(process)
            time.sleep(job.seconds * max(0.0, part + self.rng.uniform(-0.04, 0.04)))
            took, _, err = stop(process, number)
        finally:
            process.kill()
        if took is None:
            return f"still runs {MOST_SECONDS} s later"
        if process.returncode not in (0, 130, -signal.SIGKILL):
            return f"exit {process.returncode}: {err[-500:]}"
        if process.returncode != 0:
            if wrong := self.check_whole(job):
                return wrong
        if process.returncode == 130:
            if wrong := self.check_interrupted(job, err):
                return wrong
        again = subprocess.run([self.spillway, *job.words], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
        if again.returncode != 0:
            return f"the same command again: exit {again.returncode}: {again.stderr[-500:]}"
        if difference := different(self.files(), job.wanted):
            return f"the same command again: {difference}"
        if said(again.stdout) != job.said:
            return f"the same command again says something else: {again.stdout}"
        return ""

    def check_whole(self, job: Job) -> str:
        for name, data in self.files().items():
            if ".spillway" not in name and not name.endswith(".partial") and data != job.wanted.get(name):
                return f"{name} stands there and is not what it will be"
        return ""

    def check_interrupted(self, job: Job, err: str) -> str:
        last = err.strip().splitlines()[-1] if err.strip() else ""
        if not last.startswith("spillway: ") or "stopp" not in last:
            return f"does not say that it was stopped: {err!r}"
        if not job.report or "; " not in last:  # stopped before the job began
            return ""
        try:
            ended = json.loads(self.report.read_text())["job"]["ended"]
        except (OSError, ValueError, KeyError) as problem:
            return f"no report of the interrupted run: {problem!r}; it said {last}"
        return "" if ended == "interrupted" else f"its report says {ended}"

    # What is stopped while it waits.

    def waits(self, silent: str) -> list[Wait]:
        fifo, out, common = str(self.inputs / "fifo"), str(self.out), self.common
        for name in ("fifo", "fifo.smi", "fifo.csv.gz", "fifo.parquet", "fifo.pnml", "fifo.npy"):
            os.mkfifo(self.inputs / name)
        spec, stream = ["--spec", str(self.inputs / "info")], str(self.inputs / "stream")
        plugin = self.plugin()
        made = [Wait(f"expand {kind} {name}", ["expand", kind, f"{fifo}{ending}", "--out", out + "/e", *common], refused=True)
                for kind, name, ending in (("ortho", "fifo", ""), ("petri", "fifo", ".pnml"), ("plugin", "fifo", ""))]
        made += [Wait(f"expand plugin {where}", ["expand", "plugin", plugin, where, "--out", out + "/e", *common], blamed=True)
                 for where in ("create", "initial", "expand") if plugin]
        made += [Wait(f"expand pipe {form}", ["expand", "pipe", *words, "--out", out + "/e", *common, "--", "sleep", "61"])
                 for form, words in (("frames", []), ("json", ["--format", "json"]))]
        for verb in ("run", "plan", "remap"):
            target = ["--out", out + "/x"] if verb != "plan" else []
            made += [
                Wait(f"export {verb} fifo", ["export", verb, fifo, *spec, *target, *common], refused=True),
                Wait(f"export {verb} --spec fifo", ["export", verb, stream, "--spec", fifo, *target, *common], refused=True),
                Wait(f"export {verb} --mapping fifo", ["export", verb, stream, *spec, "--mapping", fifo, *target, *common], refused=True),
                Wait(f"export {verb} http", ["export", verb, silent + "/v", *spec, *target, *common], refused=verb != "run"),
                Wait(f"export {verb} --spec http", ["export", verb, stream, "--spec", silent + "/info", *target, *common], refused=verb == "remap"),
                Wait(f"export {verb} --mapping http", ["export", verb, stream, *spec, "--mapping", silent + "/map", *target, *common],
                     refused=verb != "run"),
            ]
        made += [
            Wait("export run -", ["export", "run", "-", *spec, "--out", out + "/x", *common], stdin=True),
            Wait("export run http npy", ["export", "run", silent + "/v.npy", *spec, "--out", out + "/x", *common]),
            Wait("export run fifo.npy", ["export", "run", fifo + ".npy", *spec, "--out", out + "/x", *common], refused=True),
            Wait("export verify fifo", ["export", "verify", fifo, *common[:2]], refused=True),
            Wait("export verify --mapping fifo", ["export", "verify", str(self.inputs / "shards"), "--mapping", fifo, *common[:2]], refused=True),
            Wait("export verify --mapping http", ["export", "verify", str(self.inputs / "shards"), "--mapping", silent + "/m", *common[:2]], refused=True),
            Wait("export spec http", ["export", "spec", silent + "/v.npy"], refused=True),
            Wait("export spec fifo", ["export", "spec", fifo + ".npy"], refused=True),
            Wait("expand, deaf stderr", ["expand", "pancake", "11", "--out", out + "/e", *common[:-1], "json"], deaf="stderr"),
        ]
        if (self.inputs / "a.parquet").exists():
            apply = ["transform", "apply", str(self.inputs / "a.smi"), "--out", out + "/a.parquet", *common]
            made += [Wait(f"transform apply {name}", [*apply[:2], f"{fifo}{name}", *apply[3:], "--rule", "phenol"], refused=True)
                     for name in (".smi", ".csv.gz", ".parquet")]
            made += [
                Wait("transform apply --known fifo", [*apply, "--rule", "phenol", "--known", fifo + ".parquet"], refused=True),
                Wait("transform apply --rules fifo", [*apply, "--rule", "phenol", "--rules", fifo], refused=True),
                Wait("transform rules fifo", ["transform", "rules", "--check", fifo], refused=True),
                Wait("transform merge fifo", ["transform", "merge", fifo + ".parquet", "--out", out + "/m.parquet", *common], refused=True),
                Wait("transform stats fifo", ["transform", "stats", fifo + ".parquet"], refused=True),
                Wait("transform verify fifo", ["transform", "verify", fifo + ".parquet"], refused=True),
                Wait("transform apply, deaf stderr", [*apply[:-1], "json", "--steps", "3", "--rule", "all"], deaf="stderr"),
                Wait("transform stats, deaf stdout", ["transform", "stats", str(self.inputs / "a.parquet")], deaf="stdout"),
            ]
        return made

    def plugin(self) -> str:
        source, library = self.inputs / "hangs.c", self.inputs / "hangs.so"
        source.write_text(HANGS)
        include = pathlib.Path(__file__).resolve().parent.parent.parent / "src"
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang-14")
        if not compiler:
            print("no C compiler: plugins are left out")
            return ""
        subprocess.run([compiler, "-shared", "-fPIC", "-I", str(include), "-o", str(library), str(source)], check=True)
        return str(library)

    def check_wait(self, wait: Wait, number: signal.Signals) -> str:
        self.begin()
        held = subprocess.PIPE if wait.stdin else subprocess.DEVNULL
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        ends = []
        if wait.deaf:
            ends = list(full_pipe())
            pipes[wait.deaf] = ends[1]
        process = subprocess.Popen([self.spillway, *wait.words], stdin=held, **pipes)
        try:
            wait_until_it_listens(process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self.rng.uniform(0.1, 1.2 if wait.deaf else 0.5))
            if process.returncode is not None and not wait.refused:
                return f"did not wait: exit {process.returncode}: {process.communicate()[1]}"
            took, _, err = stop(process, number)
        finally:
            process.kill()
            process.wait()
            for end in ends:
                os.close(end)
        if took is None:
            return f"still waits {MOST_SECONDS} s later"
        if process.returncode != 130 and not wait.refused and not (wait.blamed and process.returncode == 1):
            return f"exit {process.returncode}: {(err or b'')[-500:]}"
        return ""


COUNTER = """import json, sys
for line in sys.stdin:
    state = json.loads(line)
    print(json.dumps([0] if state is None else [s for s in (state + 1, 3 * state % 20011) if s < 20011]), flush=True)
"""


def wait_until_it_listens(process: subprocess.Popen) -> None:
    """Until signals are taken by the program: before that the system's own end of a process holds."""
    while process.poll() is None:
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        masks = {line.split()[0]: int(line.split()[1], 16) for line in status.splitlines() if line[:4] in ("SigB", "SigI")}
        # Ignoring SIGPIPE tells the program from what Python starts it with.
        if masks and masks["SigBlk:"] >> (signal.SIGINT - 1) & 1 and masks["SigIgn:"] >> (signal.SIGPIPE - 1) & 1:
            return
        time.sleep(0.0005)


def stop(process: subprocess.Popen, number: signal.Signals):
    """How long it took to end, none when it did not; what it said."""
    begin = time.monotonic()
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        return None, b"", b""
    return time.monotonic() - begin, out, err


def full_pipe() -> tuple[int, int]:
    end, begin = os.pipe()
    fcntl.fcntl(begin, fcntl.F_SETFL, os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(begin, b"x" * 512)
    fcntl.fcntl(begin, fcntl.F_SETFL, 0)
    return end, begin


@contextlib.contextmanager
def silent_server():
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def said(text: str) -> str:
    """Without figures that differ from run to run."""
    text = text.split("\n\n")[0]  # without a drawing
    return "\n".join(line for line in text.splitlines() if "memory" not in line and "finished before" not in line
                     and "stood there already" not in line and "results in" not in line)


def different(found: dict[str, bytes], wanted: dict[str, bytes]) -> str:
    names = sorted(set(found) ^ set(wanted)) or [name for name in found if found[name] != wanted[name]]
    return f"differs in {', '.join(names[:5])}" if names else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spillway", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--seconds", type=float, help="stop after this long, the moments taken at random")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--job", action="append", help="only those whose name begins so")
    options = parser.parse_args()
    print(f"--seed {options.seed}", flush=True)
    rng = random.Random(options.seed)
    begin = time.monotonic()
    stops = Stops(options.spillway, options.work.absolute() / "stop_every", rng)

    def chosen(name: str) -> bool:
        return not options.job or any(name.startswith(word) for word in options.job)

    wrong, done = [], 0
    with silent_server() as silent:
        tasks = []
        for job in filter(lambda job: chosen(job.name), stops.jobs()):
            if not options.seconds:
                stops.measure(job)
                print(f"{job.name}: {job.seconds:.2f} s undisturbed", flush=True)
            tasks += [(job, number, part) for number in (*SIGNALS, signal.SIGKILL) for part in PARTS]
        tasks += [(wait, number, None) for wait in stops.waits(silent) if chosen(wait.name) for number in SIGNALS]
        if options.seconds:
            rng.shuffle(tasks)
        for task, number, part in tasks:
            if options.seconds and time.monotonic() - begin > options.seconds:
                break
            if part is not None and not task.seconds:
                stops.measure(task)
            problem = stops.check_wait(task, number) if part is None else stops.check_work(task, number, part)
            done += 1
            if problem:
                wrong.append(task.name)
                moment = "" if part is None else f" at {part:.2f}"
                print(f"WRONG {task.name} {number.name}{moment}: {problem}\n   {' '.join(task.words)}", flush=True)
    shutil.rmtree(stops.work, ignore_errors=True)
    print(f"{done} of {len(tasks)} stops in {time.monotonic() - begin:.0f} s, {len(wrong)} wrong {sorted(set(wrong))}")
    return 1 if wrong or not done else 0


if __name__ == "__main__":
    sys.exit(main())
