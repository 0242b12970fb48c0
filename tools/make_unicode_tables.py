#!/usr/bin/env python3
"""Writes src/text/unicode_tables.cpp: the ranges of Unicode's letters and numbers.

usage: make_unicode_tables.py > src/text/unicode_tables.cpp

The categories come from the package unicodedata2 (pip install unicodedata2==16.0.0), because each
Python carries the tables of another Unicode version."""
import sys

import unicodedata2 as unicodedata


def ranges(category):
    """First and last code point of each run of characters whose category begins with `category`."""
    found = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code))[0] != category:
            continue
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def table(name, category):
    cells = [f"{{0x{first:X}, 0x{last:X}}}" for first, last in ranges(category)]
    lines = [f"constexpr CodePointRange {name}[] = {{"]
    line = "   "
    for cell in cells:
        if len(line) + len(cell) + 2 > 100:
            lines.append(line)
            line = "   "
        line += f" {cell},"
    return "\n".join(lines + [line, "};"])


print(f"""// Written by tools/make_unicode_tables.py from Unicode {unicodedata.unidata_version}.
#include "text/unicode.h"

namespace mixtral {{
namespace {{

// clang-format off
{table("kLetters", "L")}

{table("kNumbers", "N")}
// clang-format on

}}  // namespace

const std::span<const CodePointRange> kLetterRanges = kLetters;
const std::span<const CodePointRange> kNumberRanges = kNumbers;

}}  // namespace mixtral""")
