#!/usr/bin/env python3
"""Where `spillway export` gets blocks from: downscaled scales, voxel files, precomputed volumes, http.

Compared with numpy, nibabel, pyarrow, tensorstore and cloud-volume. Needs the Python of the project's own environment.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "memcap"))
import exported  # noqa: E402
import memcap  # noqa: E402
from exported import numpy, read_shard, run, run_spec, tree, volumes  # noqa: E402

WORK = pathlib.Path()
ATLASES = pathlib.Path("/usr/share/mricron/templates")  # Debian's mricron-data


def tensorstore_voxels(folder, scale=0):
    """(Z, Y, X), read by tensorstore; None where it is not installed."""
    try:
        import tensorstore
    except ImportError:
        return None
    store = tensorstore.open({"driver": "neuroglancer_precomputed", "scale_index": scale,
                              "kvstore": {"driver": "file", "path": str(folder)}}).result()
    return numpy.asarray(store.read().result())[..., 0].transpose(2, 1, 0)


def coarser(zyx, factor):
    """The majority of the voxels inside; ties to the smallest id."""
    fx, fy, fz = factor
    shape = tuple(-(-n // f) for n, f in zip(zyx.shape, (fz, fy, fx)))
    votes = []
    for z in range(fz):
        for y in range(fy):
            for x in range(fx):
                part = zyx[z::fz, y::fy, x::fx]
                value, here = numpy.zeros(shape, dtype=numpy.uint64), numpy.zeros(shape, dtype=bool)
                box = tuple(slice(0, n) for n in part.shape)
                value[box], here[box] = part, True
                votes.append((value, here))
    best, most = numpy.zeros(shape, dtype=numpy.uint64), numpy.zeros(shape, dtype=int)
    for value, here in votes:
        count = sum((other == value) & there for other, there in votes) * here
        better = (count > most) | ((count == most) & (count > 0) & (value < best))
        best[better], most[better] = value[better], count[better]
    return best


def info_of_scales(size, factors, offset=(0, 0, 0), preshift=1, minishard=2, **more):
    """An info whose scales have the given factors (x, y, z) between them."""
    info = volumes.info(size, preshift, minishard, offset=offset, **more)
    size, resolution = list(size), [8, 8, 8]
    for factor in factors:
        size = [-(-n // f) for n, f in zip(size, factor)]
        resolution = [r * f for r, f in zip(resolution, factor)]
        offset = [o // f for o, f in zip(offset, factor)]
        scale = json.loads(json.dumps(info["scales"][0]))
        scale.update(key=f"{len(info['scales'])}_{'_'.join(map(str, resolution))}", size=size, resolution=resolution, voxel_offset=list(offset))
        info["scales"].append(scale)
    return info


class Downscale(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = WORK / "downscale"
        shutil.rmtree(cls.folder, ignore_errors=True)
        cls.folder.mkdir(parents=True)

    def export(self, source, info, name, *more, **options):
        out = self.folder / name
        shutil.rmtree(out, ignore_errors=True)
        (self.folder / "info").write_text(json.dumps(info))
        text = run("run", source, "--spec", self.folder / "info", "--out", out, "--scale", "all", *more, **options)
        return out, text

    def check(self, source, zyx, info, factors, bodies=None, mapping=None, *more):
        """Both outputs against numpy's majority: of supervoxels for Arrow, of bodies for precomputed."""
        words = ["--memory", "128MiB", *(["--mapping", mapping] if mapping else []), *more]
        out, _ = self.export(source, info, "arrow", "--keep-empty", *words)
        want = zyx
        for scale, factor in enumerate([None, *factors]):
            want = coarser(want, factor) if factor else want
            self.assertEqual(list(reversed(want.shape)), info["scales"][scale]["size"])
            got = exported.voxels_of_shards(out / f"s{scale}", want.shape)
            self.assertTrue((got == want).all(), (source, scale))
        for path in out.glob("s*/*.arrow"):
            for row in read_shard(path):
                mapped = [int(bodies[i]) for i in row["supervoxels"]] if bodies is not None else row["supervoxels"]
                self.assertEqual(row["labels"], mapped)
        run("verify", out, progress=False)
        manifest = json.loads((out / "manifest.json").read_text())
        self.assertEqual([s["scale"] for s in manifest["scales"]], list(range(len(factors) + 1)))
        for key in ("blocks_in", "written", "empty", "shards"):
            self.assertEqual(sum(s[key] for s in manifest["scales"]), manifest["totals"][key])
        for scale in manifest["scales"]:
            self.assertEqual(scale["shards"], len(list((out / f"s{scale['scale']}").glob("*.arrow"))))
            self.assertEqual(scale["blocks_in"], scale["written"] + scale["empty"])
        out, _ = self.export(source, info, "precomputed", "--to", "precomputed", *words)
        self.assertEqual([s["key"] for s in json.loads((out / "info").read_text())["scales"]],
                         [s["key"] for s in info["scales"]])
        want = bodies[zyx.astype(numpy.int64)] if bodies is not None else zyx
        for scale, factor in enumerate([None, *factors]):
            want = coarser(want, factor) if factor else want
            got = tensorstore_voxels(out, scale)
            if got is not None:
                self.assertTrue((got == want).all(), (source, scale))

    def test_the_majority_by_hand(self):
        """Known by hand, so that the tests' own majority is tested, too."""
        cell = numpy.array([5, 5, 5, 9, 9, 9, 0, 7], dtype=numpy.uint64).reshape(2, 2, 2)
        self.assertEqual(coarser(cell, (2, 2, 2))[0, 0, 0], 5)
        cell = numpy.array([0, 0, 0, 9, 9, 9, 5, 7], dtype=numpy.uint64).reshape(2, 2, 2)
        self.assertEqual(coarser(cell, (2, 2, 2))[0, 0, 0], 0)
        self.assertEqual(coarser(cell[:1, :1], (2, 2, 2))[0, 0, 0], 0)
        self.assertEqual(coarser(cell[1:, 1:], (2, 2, 2))[0, 0, 0], 5)

    def test_random_volumes_of_odd_sizes_and_factors(self):
        make = numpy.random.default_rng(12)
        cases = [((131, 70, 65), [(2, 2, 2)] * 3), ((129, 127, 64), [(2, 2, 1), (2, 2, 2)]), ((65, 200, 3), [(1, 2, 1), (2, 1, 2)]),
                 ((64, 64, 64), [(1, 1, 1)]), ((1, 1, 1), [(2, 2, 2)])]
        for number, (size, factors) in enumerate(cases):
            shape = tuple(reversed(size))
            small = make.integers(0, (3, 40, 5000)[number % 3], size=[n // 3 + 1 for n in shape])
            zyx = numpy.kron(small, numpy.ones((3, 3, 3), dtype=small.dtype))[:shape[0], :shape[1], :shape[2]]
            noise = make.random(shape) < 0.2
            zyx = numpy.where(noise, make.integers(0, 5000, size=shape), zyx).astype("<u8")
            numpy.save(self.folder / "a.npy", zyx)
            bodies = volumes.write_mapping(str(self.folder / "map"), 5000)
            bodies[1:] = make.integers(0, 9, size=5000)  # many supervoxels a body
            (self.folder / "map").write_text("".join(f"{i} {b}\n" for i, b in enumerate(bodies) if i))
            self.check(self.folder / "a.npy", zyx, info_of_scales(size, factors), factors, bodies, self.folder / "map")

    def test_brain_atlases(self):
        try:
            import nibabel
        except ImportError:
            self.skipTest("no nibabel")
        if not ATLASES.is_dir():
            self.skipTest("no mricron-data")
        for name in ("aal", "inia19-NeuroMaps"):
            path = ATLASES / f"{name}.nii.gz"
            xyz = numpy.asarray(nibabel.load(path).dataobj)
            info = json.loads(run_spec(path, "--scales", 4))
            self.check(path, numpy.ascontiguousarray(xyz.transpose(2, 1, 0)).astype(numpy.uint64), info, [(2, 2, 2)] * 3)

    def stream(self, name, grid=(5, 4, 3), worst_every=0, offset=(0, 0, 0)):
        """A stream of realistic blocks in three orders, its voxels, and a mapping."""
        blocks = volumes.Blocks(seed=6, templates=4, ids=5000, worst_every=worst_every)
        for order in ("zyx", "shuffled", "reversed"):
            with open(self.folder / f"{name}.{order}", "wb") as out:
                for number in volumes.order_of(grid[0] * grid[1] * grid[2], order):
                    x, y, z = (a + o // 64 for a, o in zip(volumes.at_of(number, grid), offset))
                    out.write(volumes.record((x, y, z), volumes.packed(blocks.block(number))))
        return volumes.write_mapping(str(self.folder / "map"), 5000)

    def test_same_bytes_whatever_memory_threads_and_order(self):
        self.stream("same", worst_every=20)
        factors = [(2, 2, 2), (2, 2, 1), (2, 2, 2)]
        info = info_of_scales([5 * 64 - 9, 4 * 64 - 1, 3 * 64 - 30], factors)
        for to in ("arrow", "precomputed"):
            text = self.export(self.folder / "same.zyx", info, "small", "--memory", "16MiB", "--to", to, "--mapping",
                               self.folder / "map", expect=3)[1]
            least = text.split("needs at least ")[1].split(":")[0].replace(" ", "")
            first = None
            for memory, threads, order in ((least, 1, "shuffled"), (least, 4, "zyx"), ("160MiB", 2, "reversed"),
                                           ("1GiB", 3, "zyx")):
                out, _ = self.export(self.folder / f"same.{order}", info, "same", "--memory", memory, "--threads", threads,
                                     "--mapping", self.folder / "map", "--to", to)
                now = {k: v for k, v in tree(out).items() if k != "manifest.json"}
                first = first or now
                self.assertEqual(now, first, (to, memory, threads, order))

    def test_duplicates_and_offsets(self):
        offset = (256, -512, 128)
        grid = (4, 4, 2)
        self.stream("dup", grid, offset=offset)
        info = info_of_scales([n * 64 for n in grid], [(2, 2, 2)], offset)
        out, _ = self.export(self.folder / "dup.shuffled", info, "one", "--memory", "128MiB")
        wanted = {k: v for k, v in tree(out).items() if k != "manifest.json"}
        self.assertIn("s1/128_-256_64.arrow", wanted)
        other = volumes.packed(volumes.Blocks(seed=7, templates=1).block(0))
        good = (self.folder / "dup.zyx").read_bytes()
        at = (1 + 4, 2 - 8, 1 + 2)
        for which, data in (("first", good + volumes.record(at, other)), ("last", volumes.record(at, other) + good)):
            (self.folder / "dup.two").write_bytes(data)
            out, text = self.export(self.folder / "dup.two", info, "two", "--memory", "128MiB", "--on-duplicate", which)
            self.assertIn("1 duplicates", text)
            self.assertEqual({k: v for k, v in tree(out).items() if k != "manifest.json"}, wanted, which)
        self.export(self.folder / "dup.two", info, "two", "--memory", "128MiB", expect=1)

    def test_remap_of_all_scales_equals_run_with_the_mapping(self):
        self.stream("remap")
        info = info_of_scales([5 * 64, 4 * 64, 3 * 64], [(2, 2, 2)] * 2)
        plain, _ = self.export(self.folder / "remap.zyx", info, "plain", "--memory", "128MiB")
        direct, _ = self.export(self.folder / "remap.shuffled", info, "direct", "--memory", "128MiB", "--mapping",
                                self.folder / "map")
        shutil.rmtree(self.folder / "again", ignore_errors=True)
        run("remap", plain, "--out", self.folder / "again", "--memory", "128MiB", "--mapping", self.folder / "map", "--scale",
            "all")
        got, want = tree(self.folder / "again"), tree(direct)
        got.pop("manifest.json")
        want.pop("manifest.json")
        self.assertEqual(got, want)
        # Shards that have the first scale only: the others are built of them.
        shutil.rmtree(plain / "s1")
        shutil.rmtree(plain / "s2")
        shutil.rmtree(self.folder / "again")
        run("remap", plain, "--out", self.folder / "again", "--memory", "128MiB", "--mapping", self.folder / "map", "--scale",
            "all")
        got = tree(self.folder / "again")
        got.pop("manifest.json")
        self.assertEqual(got, want)

    def test_killed_runs_end_with_the_same_bytes(self):
        self.stream("kill", worst_every=30)
        info = info_of_scales([5 * 64 - 9, 4 * 64 - 1, 3 * 64 - 30], [(2, 2, 2)] * 2, preshift=0)
        words = ["--memory", "160MiB", "--mapping", self.folder / "map"]
        whole = tree(self.export(self.folder / "kill.zyx", info, "whole", *words)[0])
        out = self.folder / "killed"
        shutil.rmtree(out, ignore_errors=True)
        command = [str(w) for w in [exported.SPILLWAY, "export", "run", self.folder / "kill.zyx", "--spec", self.folder / "info",
                                    "--out", out, "--scale", "all", "--progress", "none", *words]]
        clock = random.Random(4)
        for _ in range(10):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            time.sleep(clock.uniform(0.02, 1.2))
            process.send_signal(signal.SIGKILL)
            process.wait()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        self.assertEqual(tree(out), whole)

    def test_memory_stays_under_the_limit(self):
        grid = (24, 20, 16)
        blocks = volumes.Blocks(seed=3, templates=4, ids=100000, worst_every=300)
        with open(self.folder / "big", "wb") as out:
            for number in volumes.order_of(grid[0] * grid[1] * grid[2], "shuffled"):
                out.write(volumes.record(volumes.at_of(number, grid), blocks.block(number)))
        info = info_of_scales([n * 64 - 7 for n in grid], [(2, 2, 2)] * 3, preshift=3, minishard=3)
        (self.folder / "info").write_text(json.dumps(info))
        for to in ("arrow", "precomputed"):
            out = self.folder / "big.out"
            shutil.rmtree(out, ignore_errors=True)
            outcome = memcap.run([exported.SPILLWAY, "export", "run", str(self.folder / "big"), "--spec",
                                  str(self.folder / "info"), "--out", str(out), "--memory", "128MiB", "--threads", "2",
                                  "--progress", "none", "--scale", "all", "--to", to], 128 << 20)
            self.assertEqual(outcome.exit_code, 0, outcome)
            self.assertLessEqual(outcome.peak, 128 << 20)
            print(f"  {to}: peak {outcome.peak >> 20} MiB", file=sys.stderr)

    def test_scales_that_do_not_fit_are_refused(self):
        numpy.save(self.folder / "a.npy", numpy.ones((10, 10, 10), dtype="u1"))
        for key, value, word in (("resolution", [24, 16, 16], "3 times as coarse"), ("size", [5, 5, 6], "size along z must be"),
                                 ("voxel_offset", [64, 0, 0], "voxel_offset along x")):
            info = info_of_scales((10, 10, 10), [(2, 2, 2)])
            info["scales"][1][key] = value
            text = self.export(self.folder / "a.npy", info, "refused", "--memory", "128MiB", expect=2)[1]
            self.assertIn(word, text)
            self.assertIn("scales[1]", text)
        info["num_scales"] = 1
        out, _ = self.export(self.folder / "a.npy", info, "capped", "--memory", "128MiB")
        self.assertFalse((out / "s1").exists())


def main():
    global WORK
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spillway", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    options, rest = parser.parse_known_args()
    exported.SPILLWAY = os.path.abspath(options.spillway)
    WORK = options.work.absolute() / "export_sources" / "_".join(rest or ["all"])
    WORK.mkdir(parents=True, exist_ok=True)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
