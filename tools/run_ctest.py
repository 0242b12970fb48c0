#!/usr/bin/env python3
"""Runs ctest with the given options and sums up: failures in full, skipped tests with their reasons.

The last line is "N passed, N failed, N skipped". Fails if a test failed or none passed.
"""

import collections
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

DONE = re.compile(r"^\s*(\d+)/(\d+) Test\s+#\d+: (\S+) [ .]*(.*?)[*: ]*[\d.]+ sec")
PLAIN_INTERVAL_S = 15


def follow(process):
    """Shows how far ctest is: one line that rewrites itself on a terminal, now and then a line elsewhere.

    Returns ctest's verdict for each test, which tells a crash or a timeout from a failure.
    """
    verdicts = {}
    terminal = sys.stdout.isatty()
    shown = time.monotonic()
    for line in process.stdout:
        match = DONE.match(line)
        if not match:
            continue
        done, total, name, verdict = match.groups()
        verdicts[name] = verdict.replace("***", " ").strip()
        if terminal:
            print(f"\r\033[K{done}/{total} {name[:90]}", end="", flush=True)
        elif time.monotonic() - shown >= PLAIN_INTERVAL_S:
            shown = time.monotonic()
            print(f"{done}/{total} tests done", flush=True)
    if terminal:
        print("\r\033[K", end="")
    return verdicts


def skip_reason(output):
    """What GTEST_SKIP() << said: the text between "Skipped" and the closing line."""
    match = re.search(r"Skipped\n(.*?)\n\s*\[  SKIPPED", output, re.DOTALL)
    return " ".join(match.group(1).split()) if match else "no reason given"


def report(cases):
    """Prints the summary of (name, status, output) and returns the exit code."""
    count = collections.Counter(status for _, status, _ in cases)
    skipped = collections.defaultdict(list)
    for name, status, output in cases:
        if status == "fail":
            print(f"FAILED {name}: {output.rstrip()}\n")
        elif status == "skip":
            skipped[skip_reason(output)].append(name)
    for reason, names in sorted(skipped.items()):
        print(f"skipped: {reason}: {', '.join(names[:4])}{', …' if len(names) > 4 else ''} ({len(names)})")
    if count["fail"]:
        print("failed: " + ", ".join(name for name, status, _ in cases if status == "fail"))
    if not count["pass"] and not count["fail"]:
        print("no test ran")
    print(f"{count['pass']} passed, {count['fail']} failed, {count['skip']} skipped")
    return 1 if count["fail"] or not count["pass"] else 0


def read_junit(path, verdicts):
    """(name, "pass" | "fail" | "skip", output) of every test that ctest knows about, failures led by their verdict."""
    cases = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        skipped = case.find("skipped")
        status = "pass"
        if skipped is not None and "REGULAR_EXPRESSION" in skipped.get("message", ""):
            status = "skip"
        elif case.get("status") != "run":  # failed, crashed, timed out, or its program is missing
            status = "fail"
        output = case.findtext("system-out") or ""
        if status == "fail":
            output = f"{verdicts.get(case.get('name').split()[0], 'no verdict')}\n{output}"
        name = case.get("name").split("  # GetParam()")[0]  # what gtest adds is often bytes that nobody can read
        cases.append((name, status, output))
    return cases


def main():
    with tempfile.TemporaryDirectory() as folder:
        junit = os.path.join(folder, "tests.xml")
        command = ["ctest", "--no-tests=error", "--output-junit", junit, *sys.argv[1:]]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process:
            verdicts = follow(process)
        if not os.path.exists(junit):
            print(f"ctest ended with {process.returncode} and without results: {' '.join(command)}")
            print("0 passed, 0 failed, 0 skipped")
            return 1
        failed = report(read_junit(junit, verdicts))
        return failed or process.returncode


if __name__ == "__main__":
    sys.exit(main())
