#!/usr/bin/env python3
"""Looks into the object files of a Release build: one binary must run on every x86-64 processor.

Usage: check_isa.py BUILD_FOLDER. Registers beyond the baseline (ymm, zmm, tmm, mask) may appear only in
objects of src/cpu/kernels, which run after a question to the processor, and there never in a weak symbol:
the linker keeps one copy of those, and code that runs anywhere might get it.
"""

import pathlib
import re
import subprocess
import sys

import repository

WIDE = re.compile(r"%(?:[yzt]mm\d|k[0-7]\b)")
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
WEAK = re.compile(r"^\S*\s+[WVu]\s+(\S+)$")


def wide_functions(listing):
    """Names of the functions in a disassembly that use wide registers, once each and in order."""
    found, current = {}, None
    for line in listing.split("\n"):
        match = FUNCTION.match(line)
        if match:
            current = match.group(1)
        elif current not in found and WIDE.search(line):
            found[current] = True
    return list(found)


def weak_symbols(listing):
    return {match.group(1) for match in map(WEAK.match, listing.split("\n")) if match}


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, errors="replace").stdout


def check_object(path, is_kernel, findings):
    wide = wide_functions(output_of("objdump", "-d", "--no-show-raw-insn", path))
    weak = weak_symbols(output_of("nm", path)) if wide and is_kernel else set()
    for name in wide:
        if not is_kernel:
            findings.add(path, 1, f"{name} uses wide registers: such code belongs into src/cpu/kernels, inside a target region")
        elif name in weak:
            findings.add(path, 1, f"weak symbol {name} uses wide registers: give it internal linkage, or keep it out of the target region")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    findings = repository.Findings()
    objects = sorted(pathlib.Path(sys.argv[1]).glob("src/CMakeFiles/mixtral_*.dir/**/*.o"))
    if not objects:
        sys.exit(f"{sys.argv[1]}: no object files of src/; build first")
    for path in objects:
        check_object(path, "/cpu/kernels/" in path.as_posix(), findings)
    return findings.report()


if __name__ == "__main__":
    sys.exit(main())
