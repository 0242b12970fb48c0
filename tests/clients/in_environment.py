#!/usr/bin/env python3
"""Runs a test in a virtual environment of its own, with packages from PyPI.

Usage: FOLDER REQUIREMENTS SCRIPT ARGUMENTS…; the environment is made in FOLDER and kept. Exit code 77, which means
"skipped", where it cannot be made.
"""

import fcntl
import os
import pathlib
import subprocess
import sys
import venv

SKIPPED = 77


def prepare(folder, requirements):
    """The environment's Python, or None with a word about why not."""
    python, stamp = folder / "bin/python", folder / "requirements.txt"
    if stamp.exists() and stamp.read_text() == requirements:
        return python
    print(f"preparing {folder}", flush=True)
    try:
        venv.create(folder, clear=True, with_pip=True)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"no virtual environment: {error}")
        return None
    (folder / "wanted.txt").write_text(requirements)
    pip = subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "2",
                          "--requirement", folder / "wanted.txt"])
    if pip.returncode != 0:
        print("the packages could not be fetched from PyPI")
        return None
    stamp.write_text(requirements)
    return python


def main():
    folder, requirements, script = map(pathlib.Path, sys.argv[1:4])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f"{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests of one environment may run side by side
        python = prepare(folder, requirements.read_text())
    if python is None:
        return SKIPPED
    os.execv(python, [str(python), str(script), *sys.argv[4:]])


if __name__ == "__main__":
    sys.exit(main())
