#!/usr/bin/env python3
"""Finds dead links and paths in *.md, and flags in docs/cli.md that the program does not know.

Usage: check_docs.py [ROOT] [--program PATH]; without a program at hand its flags are not checked.
"""

import argparse
import pathlib
import re
import subprocess
import sys

import repository

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(?:\./)?([\w.-]+(?:/[\w.*-]+)*/?)")
PLACEHOLDER = re.compile(r"[A-Z]{3,}|NNNN|…")
HEADING = re.compile(r"#{1,6}\s+(.*)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


def anchors(text):
    """The fragment names that a Markdown page offers, one for each heading."""
    headings = (match.group(1) for match in map(HEADING.match, text.split("\n")) if match)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def check_link(root, path, number, target, findings):
    if re.match(r"[a-z]+:", target):
        return  # another site: not ours to keep alive, and checks work without network
    file, _, fragment = target.partition("#")
    place = (root / path).parent / file if file else root / path
    if not place.exists():
        findings.add(path, number, f"dead link {target}: no such file")
    elif fragment and place.suffix == ".md" and fragment not in anchors(repository.read_text(place)):
        findings.add(path, number, f"dead link {target}: {place.name} has no such heading")


def check_code_path(root, path, number, code, top_level, findings):
    """`tools/check.sh` and `src/cpu/kernels/*.cpp` must exist; commands, placeholders and build output need not."""
    for word in code.split():
        match = PATH.fullmatch(word.rstrip(".,;:"))
        if not match or PLACEHOLDER.search(word):
            continue
        name = match.group(1)
        if name.split("/")[0] in top_level and "/" in name and not any(root.glob(name)):
            findings.add(path, number, f"dead path {name}: no such file")


def help_texts(program):
    """`program --help` and the help of each of its subcommands."""

    def help_of(*command):
        return subprocess.run([program, *command, "--help"], capture_output=True, text=True, check=True, timeout=10).stdout

    top = help_of()
    listed = re.search(r"^(?:sub)?commands:\n((?:^(?:[ \t].*)?\n?)+)", top, re.MULTILINE | re.IGNORECASE)
    names = re.findall(r"^  ([a-z][\w-]*)", listed.group(1), re.MULTILINE) if listed else []
    return [top, *map(help_of, names)]


def check_flags(root, program, findings):
    manual = root / "docs/cli.md"
    if not manual.exists():
        return
    known = {flag for text in help_texts(program) for flag in FLAG.findall(text)}
    for number, line in enumerate(repository.read_text(manual).split("\n"), 1):
        for flag in FLAG.findall(line):
            if flag not in known:
                findings.add("docs/cli.md", number, f"{flag} is no flag of the program: see mixtral --help")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent)
    parser.add_argument("--program", type=pathlib.Path)
    options = parser.parse_args()
    root, findings = options.root.resolve(), repository.Findings()
    files = repository.files(root)
    top_level = {path.parts[0] for path in files if len(path.parts) > 1}
    for path in files:
        if path.suffix != ".md":
            continue
        for number, line in enumerate(repository.read_text(root / path).split("\n"), 1):
            for target in LINK.findall(line):
                check_link(root, path, number, target, findings)
            for code in CODE.findall(line):
                check_code_path(root, path, number, code, top_level, findings)
    if options.program:
        check_flags(root, options.program.resolve(), findings)
    return findings.report()


if __name__ == "__main__":
    sys.exit(main())
