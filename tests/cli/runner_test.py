#!/usr/bin/env python3
"""The test runner must fail when it should: each check is tried once where it holds and once where it does not."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

RUNNER = pathlib.Path(__file__).with_name("run_test.py")

SET_UP = "write $TMP/a/x.csv <<END\ndepth,new\n0,1\n1,7\nEND\n$ mkdir $TMP/b && cp $TMP/a/x.csv $TMP/b/ && echo '{\"a\":{\"b\":3}}' > $TMP/j\n"
HOLDS_AND_NOT = {
    "exit": ("$ sh -c 'exit 3'\nexit 3", "$ sh -c 'exit 3'\nexit 0"),
    "exit one of": ("$ sh -c 'exit 3'\nexit 2|3", "$ sh -c 'exit 3'\nexit 1|2"),
    "default exit": ("$ true", "$ false"),
    "stdout": ("$ printf 'ab\\ncd'\nstdout ~ ^cd$", "$ echo ab\nstdout ~ ^b"),
    "not stderr": ("$ echo x >&2\nstderr !~ y", "$ echo x >&2\nstderr !~ x"),
    "lines": ("$ printf 'a\\nb\\n' >&2\nstderr lines == 2", "$ echo >&2\nstderr lines == 2"),
    "peak": ("$ true\npeak <= 32MiB", "$ python3 -c 'b = b\"x\" * (64 << 20); print(len(b))'\nexit 0\npeak <= 62MiB"),
    "equal": ("$ true\nfile $TMP/a/x.csv == $TMP/b/x.csv", "$ echo >> $TMP/b/x.csv\nfile $TMP/a/x.csv == $TMP/b/x.csv"),
    "file": ("$ true\nfile $TMP/a/x.csv ~ ^1,7$", "$ true\nfile $TMP/a/x.csv ~ ^1,8$"),
    "file not": ("$ true\nfile $TMP/a/x.csv !~ ^1,8$", "$ true\nfile $TMP/a/x.csv !~ ^1,7$"),
    "absent": ("$ rm $TMP/j\nabsent $TMP/j", "$ true\nabsent $TMP/j"),
    "layers": ("$ true\nlayers $TMP/a/x.csv == 1 7", "$ true\nlayers $TMP/a/x.csv == 1 7 42"),
    "json": ("$ true\njson $TMP/j a.b == 3", "$ true\njson $TMP/j a.b == \"3\""),
    "json key": ("$ true\njson $TMP/j a == {\"b\": 3}", "$ true\njson $TMP/j a.c == 3"),
    "same": ("$ touch $TMP/a/report.json\nsame $TMP/a $TMP/b", "$ touch $TMP/a/more\nsame $TMP/a $TMP/b"),
    "missing file": ("$ true", "$ true\nfile $TMP/none ~ x"),
    "unknown check": ("$ true", "$ true\npeek <= 3"),
}


class RunnerTest(unittest.TestCase):
    def outcome(self, folder, text):
        test = pathlib.Path(folder) / "t.test"
        test.write_text(SET_UP + text + "\n")
        return subprocess.run([sys.executable, RUNNER, "--spillway", "/bin/true", "--work", folder, test],
                              capture_output=True).returncode

    def test_each_check_holds_and_fails(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, (holds, fails) in HOLDS_AND_NOT.items():
                with self.subTest(name):
                    self.assertEqual(self.outcome(folder, holds), 0)
                    self.assertEqual(self.outcome(folder, fails), 1)

    def test_a_need_that_is_not_met_skips(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.outcome(folder, "need file /nonexistent/x\n$ false"), 77)
            self.assertEqual(self.outcome(folder, "need file /proc/self\n$ false"), 1)


if __name__ == "__main__":
    unittest.main()
