"""What the tests of the program share: the program and a small model, running it, and checking how it ended.

The program's path is the first argument of the test; what follows goes to unittest.
"""

import atexit
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import tiny_model

PROGRAM = os.path.abspath(sys.argv.pop(1))
SOURCE = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = [pathlib.Path(p) for p in [os.environ.get("MIXTRAL_GOLDEN_DIR", ""), SOURCE / "tests/golden/data", SOURCE / "../shared/golden"] if p]
WORK = pathlib.Path(tempfile.mkdtemp(prefix="mixtral-test-"))  # a folder for this run
MODEL = str(WORK / "model.gguf")  # with a tokenizer and random weights

atexit.register(shutil.rmtree, WORK, ignore_errors=True)
tiny_model.write(MODEL)


def golden(name):
    for folder in GOLDEN:
        if (folder / name).exists():
            return str(folder / name)
    raise unittest.SkipTest(f"no golden data {name} (see tests/golden/README.md)")


def run(*arguments, stdin=b"", **environment):
    if isinstance(stdin, str):
        stdin = stdin.encode()
    return subprocess.run([PROGRAM, *arguments], input=stdin, capture_output=True, timeout=120, env={**os.environ, **environment})


class Case(unittest.TestCase):
    def good(self, *arguments, **options):
        result = run(*arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result

    def json_of(self, *arguments, **options):
        """The one JSON object, which must be all that standard output holds."""
        text = self.good(*arguments, **options).stdout.decode()
        self.assertEqual(text.count("\n"), 1, text)
        return json.loads(text)

    def refused(self, *arguments, names=(), **options):
        """Exit code 2, nothing on standard output, one line on standard error with all of `names`."""
        result = run(*arguments, **options)
        error = result.stderr.decode()
        self.assertEqual(result.returncode, 2, error)
        self.assertEqual(result.stdout, b"")
        self.assertEqual(error.count("\n"), 1, error)
        self.assertTrue(error.startswith("mixtral: "), error)
        for name in names:
            self.assertIn(str(name), error)
        return error
