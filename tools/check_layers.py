#!/usr/bin/env python3
"""Holds every #include "..." below src/ to the layer rule, and src/CMakeLists.txt to the same rule.

RULE is the one place where the rule is written down for machines; docs/architecture.md explains it.
Changing it takes an ADR (docs/adr/).
"""

import re
import sys

import repository

# Folder of src/: the folders whose headers it may include besides its own.
RULE = {
    "core": [],
    "quant": ["core"],
    "io": ["core", "quant"],
    "text": ["core", "io"],
    "grammar": ["core", "text", "io"],
    "ops": ["core", "quant"],
    "cpu": ["core", "quant", "ops"],
    "cuda": ["core", "quant", "ops"],
    "model": ["core", "quant", "io", "ops"],
    "engine": ["core", "ops", "model", "text", "grammar"],
    "train": ["core", "io", "ops", "model", "text"],
    "eval": ["core", "io", "ops", "model", "text", "engine"],
    "server": ["core", "io", "text", "grammar", "engine"],
    "convert": ["core", "quant", "io", "text", "model", "ops"],
    "c": ["core", "cpu", "engine"],
}

INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')
MIXTRAL_FOLDER = re.compile(r"^\s*mixtral_folder\(\s*([^)]*?)\s*\)")


def check_include(root, path, number, bracket, target, findings):
    folder, target_folder = path.parts[1], target.split("/")[0]
    if bracket == "<":
        if target_folder in RULE and (root / "src" / target).exists():
            findings.add(path, number, f'<{target}> is ours: include it with quotation marks, "{target}"')
        return
    if target_folder not in RULE or not (root / "src" / target).is_file():
        findings.add(path, number, f'no file src/{target}: write the path from src/ on, as in "core/result.h"')
    elif target_folder != folder and target_folder not in RULE[folder]:
        allowed = ", ".join(RULE[folder]) or "nothing else of src/"
        findings.add(path, number, f'{folder}/ must not include "{target}": it may use {allowed}; turn the dependency around')


def check_sources(root, findings):
    for path in repository.cpp_files(root, "src"):
        if path.parts[1] not in RULE:
            findings.add(path, 1, f"src/{path.parts[1]} is no folder of the layer rule: add it to RULE in tools/check_layers.py")
            continue
        for number, line in enumerate(repository.code_only(repository.read_text(root / path)), 1):
            match = INCLUDE.match(line)
            if match:
                check_include(root, path, number, *match.groups(), findings)


def check_cmake(root, findings):
    path = "src/CMakeLists.txt"
    for number, line in enumerate(repository.read_text(root / path).split("\n"), 1):
        match = MIXTRAL_FOLDER.match(line)
        if not match:
            continue
        folder, *listed = match.group(1).split()
        if folder not in RULE:
            findings.add(path, number, f"{folder} is no folder of the layer rule: add it to RULE in tools/check_layers.py")
        elif sorted(listed) != sorted(RULE[folder]):
            expected = " ".join(["mixtral_folder(" + folder, *RULE[folder]]) + ")"
            findings.add(path, number, f"differs from the layer rule: write {expected}")


def main():
    root, findings = repository.root_argument(), repository.Findings()
    check_sources(root, findings)
    check_cmake(root, findings)
    return findings.report()


if __name__ == "__main__":
    sys.exit(main())
