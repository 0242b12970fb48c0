#!/usr/bin/env python3
"""Keeps files readable in one sitting and the repository small to clone."""

import sys

import repository

MAX_LINES = 600  # the aims are HEADER_AIM and SOURCE_AIM
HEADER_AIM = 200
SOURCE_AIM = 500
MAX_MODEL_LINES = 2000  # all of src/model: the forward pass is read as one text
MAX_BYTES = 2 << 20
SUFFIXES = repository.CPP_SUFFIXES | {".py", ".sh"}


def check_lines(root, path, findings, notes):
    if path.suffix not in SUFFIXES:
        return 0
    lines = repository.read_text(root / path).count("\n")
    aim = HEADER_AIM if path.suffix in {".h", ".cuh"} else SOURCE_AIM
    if lines > MAX_LINES:
        findings.add(path, MAX_LINES + 1, f"{lines} lines, at most {MAX_LINES}: split the file by what its parts are about")
    elif lines > aim:
        notes.append(f"note: {path} has {lines} lines, the aim is {aim}")
    return lines


def main():
    root, findings, notes, model_lines = repository.root_argument(), repository.Findings(), [], 0
    for path in repository.files(root):
        size = (root / path).stat().st_size
        if size > MAX_BYTES:
            findings.add(path, 1, f"{size} bytes, at most {MAX_BYTES}: make it when needed, or fetch it with a pinned hash")
        lines = check_lines(root, path, findings, notes)
        if path.parts[:2] == ("src", "model"):
            model_lines += lines
    if model_lines > MAX_MODEL_LINES:
        findings.add("src/model", 1, f"{model_lines} lines in all, at most {MAX_MODEL_LINES}: move what is not the model elsewhere")
    for note in notes:
        print(note)
    return findings.report()


if __name__ == "__main__":
    sys.exit(main())
