"""What the checkers share: the files of the repository, C++ without comments, and how findings are told."""

import pathlib
import re
import subprocess
import sys

CPP_SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}


def files(root):
    """Paths relative to `root` of all files that git has or would take, in order."""
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], check=True, capture_output=True
    ).stdout.decode()
    return sorted(pathlib.PurePath(name) for name in set(listed.split("\0")) if name and (root / name).is_file())


def cpp_files(root, *folders):
    return [path for path in files(root) if path.suffix in CPP_SUFFIXES and path.parts[0] in folders]


def read_text(path):
    return path.read_text(encoding="utf-8", errors="replace")


LITERAL_OR_COMMENT = re.compile(
    r"""//(?:[^\n\\]|\\.|\\\n)*|/\*.*?\*/|R"(?P<mark>[^()\s\\]{0,16})\(.*?\)(?P=mark)"|"(?:[^"\\\n]|\\.)*"|(?<![0-9A-Fa-f])'(?:[^'\\\n]|\\.)+'""",
    re.DOTALL,
)


def code_only(text):
    """C++ with comments and the contents of literals blanked, line by line as before. Includes stay readable."""

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())

    lines = LITERAL_OR_COMMENT.sub(blank, text).split("\n")
    return [
        original if re.match(r"\s*#\s*include\b", original) and line.lstrip().startswith("#") else line
        for original, line in zip(text.split("\n"), lines)
    ]


class Findings:
    """Collects "path:line: what is wrong; what to do" and turns them into an exit code."""

    def __init__(self):
        self.messages = []

    def add(self, path, line, message):
        self.messages.append(f"{path}:{line}: {message}")

    def report(self):
        for message in self.messages:
            print(message)
        return 1 if self.messages else 0


def root_argument():
    """The repository: the first argument, or the one that this file lies in."""
    return pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
