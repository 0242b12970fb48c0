#!/usr/bin/env python3
"""House rules that a search can hold: what library code must not call, which macros exist, no loose ends."""

import re
import sys

import repository

# In src/ (pattern, what to do instead, files that may). The library never prints, exits or reads the environment.
FORBIDDEN = [
    (r"\b(?:secure_)?getenv\s*\(", "only apps/ reads the environment: take a parameter", ()),
    (r"\bstd::(?:cout|cerr|clog)\b|#\s*include\s*<iostream>", "the library does not print: return it, or use core/progress.h", ()),
    (r"(?<![\w.>])(?:std::)?(?:v?printf|puts|putchar|perror)\s*\(|\bfmt::print\b", "the library does not print: return it", ()),
    (r"(?<![\w.>])(?:std::)?(?:v?fprintf|fputs)\s*\(", "the library does not print: return it", ("src/core/check.cpp",)),
    (r"(?<![\w.>])(?:std::)?(?:exit|_exit|quick_exit|terminate)\s*\(", "the library does not exit: return an Error", ()),
    (r"(?<![\w.>])(?:std::)?abort\s*\(", "use MIXTRAL_CHECK", ("src/core/check.cpp",)),
    (r"\bstd::sto(?:i|l|ll|ul|ull|f|d|ld)\b|\bato[ifl]l?\s*\(|\bstrtou?ll?\s*\(", "std::from_chars neither throws nor depends on the locale", ()),
    (r"\busing\s+namespace\b", "name what is used", ()),
]
MACRO = re.compile(r"^\s*#\s*define\s+(\w+)")
ALLOWED_MACRO = re.compile(r"MIXTRAL_(?:CHECK|DCHECK|TRY\w*|\w*TARGET\w*|PRAGMA)$")  # the last two: target regions
LOOSE_END = re.compile(r"\b(?:TODO|FIXME|XXX)\b")
TEXT_SUFFIXES = repository.CPP_SUFFIXES | {".py", ".sh", ".md", ".txt", ".cmake", ".in"}
WRITES_ABOUT_LOOSE_ENDS = {"tools/check_rules.py", "tools/tests/checks_test.py"}


def includes(lines):
    return any(re.match(r"\s*#\s*include\b", line) for line in lines)


def check_code(root, path, findings):
    lines = repository.code_only(repository.read_text(root / path))
    for number, line in enumerate(lines, 1):
        for pattern, advice, allowed in FORBIDDEN:
            match = re.search(pattern, line)
            if match and path.as_posix() not in allowed:
                findings.add(path, number, f'"{match.group().strip()}" in library code: {advice}')
        match = MACRO.match(line)
        if match and not ALLOWED_MACRO.match(match.group(1)):
            findings.add(path, number, f"macro {match.group(1)}: use a constant, a function or a template")
    # Kernel bodies are parts of a target region, not headers: they include nothing and stand once per instruction set.
    is_header = path.suffix in {".h", ".cuh"} and not (path.parent.as_posix() == "src/cpu/kernels" and not includes(lines))
    if is_header and "#pragma once" not in lines:
        findings.add(path, 1, "a header starts with #pragma once")


def check_loose_ends(root, path, findings):
    for number, line in enumerate(repository.read_text(root / path).split("\n"), 1):
        match = LOOSE_END.search(line)
        if match:
            findings.add(path, number, f"{match.group()}: finish it, or open an issue and say nothing here")


def main():
    root, findings = repository.root_argument(), repository.Findings()
    for path in repository.files(root):
        if path.suffix in TEXT_SUFFIXES and path.as_posix() not in WRITES_ABOUT_LOOSE_ENDS:
            check_loose_ends(root, path, findings)
        if path.suffix in repository.CPP_SUFFIXES and path.parts[0] == "src":
            check_code(root, path, findings)
    return findings.report()


if __name__ == "__main__":
    sys.exit(main())
