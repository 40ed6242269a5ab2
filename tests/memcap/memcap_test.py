#!/usr/bin/env python3
"""memcap.py must see what it exists to see: commands within, above and far above their limit, and children's memory."""
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import memcap  # noqa: E402

HOLD = "import time; b = bytearray({0} << 20); b[::4096] = b'x' * len(b[::4096]); time.sleep({1})"


def hold(mebibytes: int, seconds: float = 0.3) -> list[str]:
    return [sys.executable, "-S", "-c", HOLD.format(mebibytes, seconds)]


class MemcapTest(unittest.TestCase):
    def test_a_small_command_is_within(self):
        outcome = memcap.run(hold(8), 64 << 20)
        self.assertEqual(outcome.exit_code, 0)
        self.assertTrue(outcome.within, outcome.text())
        self.assertGreater(outcome.peak, 8 << 20)

    def test_five_percent_above_is_seen_and_not_killed(self):
        outcome = memcap.run(hold(42), 44 << 20)  # 42 MiB and the interpreter's own: above 44, below 1.10 x 44
        self.assertEqual(outcome.exit_code, 0, outcome.text())
        self.assertFalse(outcome.within, outcome.text())

    def test_far_above_is_stopped_by_the_kernel(self):
        outcome = memcap.run(hold(300), 64 << 20, capture=True)
        self.assertNotEqual(outcome.exit_code, 0)
        if outcome.method.startswith("cgroup"):
            self.assertEqual(outcome.exit_code, 137)
            self.assertTrue(outcome.oom_killed)

    def test_children_count(self):
        parent = [sys.executable, "-S", "-c", f"import subprocess; subprocess.run({hold(40)!r})"]
        self.assertGreater(memcap.run(parent, 256 << 20).peak, 40 << 20)

    def test_shared_memory_counts(self):
        code = ("import mmap, time; m = mmap.mmap(-1, 40 << 20)\n"
                "for i in range(0, len(m), 4096): m[i] = 1\n"
                "time.sleep(0.3)")
        self.assertGreater(memcap.run([sys.executable, "-S", "-c", code], 256 << 20).peak, 40 << 20)

    def test_exit_codes_and_signals_come_through(self):
        self.assertEqual(memcap.run(["sh", "-c", "exit 7"], 64 << 20).exit_code, 7)
        self.assertEqual(memcap.run(["sh", "-c", "kill -9 $$"], 64 << 20).exit_code, 137)

    def test_a_real_cgroup_is_used_where_one_is_writable(self):
        writable = any(os.access(folder, os.W_OK) for _, folder in memcap.Cgroup.parents())
        method = memcap.run(["true"], 64 << 20).method
        print(f"memcap uses {method}", file=sys.stderr)
        self.assertEqual(method.startswith("cgroup"), writable)


if __name__ == "__main__":
    unittest.main()
