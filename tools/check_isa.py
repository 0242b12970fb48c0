#!/usr/bin/env python3
"""Looks into the object files of a Release build: one binary must run on every x86-64 processor.

Usage: check_isa.py BUILD_FOLDER. Registers beyond the baseline may appear only in the objects of
src/cpu/kernels/table_*.cpp, which run after a question to the processor: ymm in all but the scalar one,
zmm, mask and the upper sixteen in those for AVX-512 and AMX, tiles in that for AMX. And never in a weak
symbol: the linker keeps one copy of those, and code that runs anywhere might get it.
"""

import pathlib
import re
import subprocess
import sys

import repository

ISAS = ("baseline", "avx2", "avx512", "amx")  # each has the registers of those before it
REGISTERS = re.compile(r"%(?:(?P<amx>tmm\d)|(?P<avx512>zmm\d|k[0-7]\b|[xy]mm(?:1[6-9]|2\d|3[01])\b)|(?P<avx2>ymm\d))")
TABLE = re.compile(r".*/cpu/kernels/table_([a-z0-9]+)\w*\.cpp\.o")
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
WEAK = re.compile(r"^\S*\s+[WVu]\s+(\S+)$")


def wide_functions(listing):
    """The functions in a disassembly that use registers beyond the baseline, in order, each with the ISA it needs."""
    found, current = {}, None
    for line in listing.split("\n"):
        match = FUNCTION.match(line)
        if match:
            current = match.group(1)
            continue
        for register in REGISTERS.finditer(line):
            found[current] = max(found.get(current, 0), ISAS.index(register.lastgroup))
    return {name: ISAS[level] for name, level in found.items()}


def weak_symbols(listing):
    return {match.group(1) for match in map(WEAK.match, listing.split("\n")) if match}


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, errors="replace").stdout


def check_object(path, findings):
    table = TABLE.fullmatch(path.as_posix())
    allowed = ISAS.index(table.group(1)) if table and table.group(1) in ISAS else 0
    wide = wide_functions(output_of("objdump", "-d", "--no-show-raw-insn", path))
    weak = weak_symbols(output_of("nm", path)) if wide else set()
    for name, isa in wide.items():
        if ISAS.index(isa) > allowed:
            findings.add(path, 1, f"{name} uses registers of {isa}: such code belongs into src/cpu/kernels/table_{isa}.cpp, inside its target region")
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
        check_object(path, findings)
    return findings.report()


if __name__ == "__main__":
    sys.exit(main())
