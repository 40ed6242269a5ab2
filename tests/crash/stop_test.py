#!/usr/bin/env python3
"""Stopping on purpose: Ctrl-C, SIGTERM and SIGHUP end at a checkpoint within two seconds, a second signal at once, and two runs never share a folder.

stop_test.py BINARY WORK-FOLDER [unittest options]
"""
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "memcap"))
import jobs  # noqa: E402

SPILLWAY = str(pathlib.Path(sys.argv.pop(1)).resolve())
WORK = pathlib.Path(sys.argv.pop(1)).resolve()
JOB = ["pancake", "10"]
MOST_SECONDS = 2  # from the signal to the end


class StopTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        WORK.mkdir(parents=True, exist_ok=True)
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="stop.", dir=WORK))
        cls.memory = jobs.minimum_memory(SPILLWAY, JOB, cls.work / "refused")
        reference = cls.work / "reference"
        start = time.monotonic()
        subprocess.run(cls.command(reference), check=True, capture_output=True)
        cls.seconds = time.monotonic() - start
        cls.reference = jobs.files(reference)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.work, ignore_errors=True)

    @classmethod
    def command(cls, out):
        return [SPILLWAY, "expand", *JOB, "--memory", cls.memory, "--checkpoint", "10s", "--progress", "none", "--out",
                str(out)]

    def start(self, out):
        process = subprocess.Popen(self.command(out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def check_stop(self, name, signals, most_seconds, part=0.5):
        out = self.work / name
        process = self.start(out)
        time.sleep(self.seconds * part)
        asked = time.monotonic()
        for number in signals:
            process.send_signal(number)
            time.sleep(0.01)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        self.assertLess(time.monotonic() - asked, most_seconds)
        self.assertFalse((out / "result.json").exists())
        subprocess.run(self.command(out), check=True, capture_output=True)
        self.assertEqual(jobs.differences(self.reference, jobs.files(out)), "")
        return err

    def test_ctrl_c_stops_at_a_checkpoint_and_says_how_to_go_on(self):
        last = self.check_stop("interrupted", [signal.SIGINT], MOST_SECONDS).strip().splitlines()[-1]
        self.assertRegex(last, "checkpoint.*same command")

    def test_any_signal_at_any_moment_stops_soon(self):
        for i, number in enumerate((signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGHUP)):
            self.check_stop(f"moment{i}", [number], MOST_SECONDS, 0.1 + 0.15 * i)

    def test_a_second_ctrl_c_stops_at_once(self):
        self.check_stop("twice", [signal.SIGINT, signal.SIGINT], 1)

    def test_a_second_run_in_the_same_folder_is_refused_and_the_first_is_unharmed(self):
        out = self.work / "shared"
        first = self.start(out)
        time.sleep(self.seconds / 3)
        second = subprocess.run(self.command(out), capture_output=True, text=True)
        self.assertIsNone(first.poll(), "the first run ended too soon for this test to say anything")
        self.assertIn(second.returncode, (1, 2))
        self.assertEqual(len(second.stderr.strip().splitlines()), 1, second.stderr)
        self.assertIn(str(out), second.stderr)
        _, err = first.communicate(timeout=300)
        self.assertEqual(first.returncode, 0, err)
        self.assertEqual(jobs.differences(self.reference, jobs.files(out)), "")


if __name__ == "__main__":
    unittest.main()
