#!/usr/bin/env python3
"""Manual pages and completion, which the program writes about itself.

Usage: PROGRAM [unittest arguments].
"""

import os
import pty
import re
import select
import shutil
import subprocess
import time
import unittest

from program import WORK, PROGRAM, Case


def commands():
    text = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True).stdout
    return re.findall(r"^  ([a-z-]+) ", text.split("Subcommands:")[1].split("Examples:")[0], re.MULTILINE)


class Completion(Case):
    def completed(self, *words):
        """What bash would offer for the last of the words."""
        script = WORK / "completion.bash"
        script.write_bytes(self.good("completion", "bash").stdout)
        line = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mixtral; printf "%s\\n" "${COMPREPLY[@]}"'
        result = subprocess.run(["bash", "-c", line, "bash", script, "mixtral", *words], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout.split()

    def test_bash_completes_commands(self):
        self.assertEqual(self.completed("load-"), ["load-test"])
        self.assertEqual(self.completed(""), ["help", *commands()])
        self.assertEqual(self.completed("help", "tok"), ["tokenize"])
        self.assertIn("--version", self.completed("--"))

    def test_bash_completes_options_and_their_values(self):
        self.assertEqual(self.completed("serve", "--tool"), ["--tool-emulation"])
        self.assertEqual(self.completed("serve", "--log-format", ""), ["none", "text", "json"])
        self.assertEqual(self.completed("completion", "x"), [])
        self.assertEqual(self.completed("generate", "-m", "mod"), [])  # the shell offers files

    def test_every_option_of_the_help_is_completed(self):
        for command in commands():
            text = self.good(command, "--help").stdout.decode()
            options = set(re.findall(r"^  (?:-\w,)?(--[a-z0-9-]+)", text, re.MULTILINE))
            self.assertLessEqual(options, set(self.completed(command, "--")), command)

    def test_zsh_gets_all_of_them_in_quotes(self):
        text = self.good("completion", "zsh").stdout.decode()
        self.assertTrue(text.startswith("#compdef mixtral\n"))
        for command in commands():
            self.assertIn(f"\n    '{command}:", text)
            self.assertIn(f"\n    {command})\n      _arguments", text)
        self.assertIn(":(none text json)'", text)

    def test_zsh_completes_lines(self):
        if not shutil.which("zsh"):
            self.skipTest("no zsh")
        folder = WORK / "zsh"
        folder.mkdir()
        (folder / "_mixtral").write_bytes(self.good("completion", "zsh").stdout)
        (folder / ".zshrc").write_text(f"PS1='ready> ' fpath=({folder} $fpath); autoload -U compinit; compinit -u -D\n")
        for begun, rest in (("load-", "test"), ("serve --tool", "-emulation"), ("serve --log-format j", "son")):
            self.assertEqual(self.after_tab(folder, f"mixtral {begun}", rest), f"mixtral {begun}{rest}")

    def after_tab(self, folder, line, rest):
        """The line that zsh has after Tab, which must have shown the rest: it is made to print it. All that takes a terminal."""
        process, terminal = pty.fork()
        if process == 0:
            os.execvpe("zsh", ["zsh", "-i"], {**os.environ, "ZDOTDIR": str(folder), "TERM": "dumb"})
        try:
            self.read_until(terminal, "ready> ")
            os.write(terminal, line.encode())
            self.read_until(terminal, re.escape(line))  # a Tab among what is typed ahead would be one of the text
            os.write(terminal, b"\t")
            self.read_until(terminal, re.escape(rest))
            os.write(terminal, b"\x01print '<\x05>'\n")  # at the line's begin and at its end
            return self.read_until(terminal, r"\n<(.*?) ?>\r?\n").group(1)
        finally:
            os.close(terminal)
            os.waitpid(process, 0)

    def read_until(self, terminal, pattern):
        text, end = "", time.monotonic() + 20
        while not (found := re.search(pattern, text)):
            ready, _, _ = select.select([terminal], [], [], end - time.monotonic())
            self.assertTrue(ready, text)
            text += os.read(terminal, 4096).decode(errors="replace")
        return found

    def test_other_shells_are_refused(self):
        self.refused("completion", "fish", names=["bash", "zsh"])
        self.refused("completion")


class Manual(Case):
    def test_there_is_a_page_for_every_command(self):
        folder = WORK / "man1"
        folder.mkdir()
        self.good("man", "--all", str(folder))
        self.assertEqual({page.name for page in folder.iterdir()}, {"mixtral.1", *(f"mixtral-{name}.1" for name in commands())})
        for page in folder.iterdir():
            text = page.read_text()
            self.assertTrue(text.startswith(".TH mixtral"), page)
            for section in ("NAME", "SYNOPSIS", "OPTIONS"):
                self.assertIn(f"\n.SH {section}\n", text, page)
            if shutil.which("groff"):
                shown = subprocess.run(["groff", "-man", "-Tutf8", "-ww", page], capture_output=True, text=True)
                self.assertEqual((shown.returncode, shown.stderr), (0, ""), page)

    def test_pages_have_the_options_of_the_help(self):
        text = self.good("man", "serve").stdout.decode()
        self.assertIn("\n.TP\n\\fB\\-\\-tls\\-cert\\fR \\fITEXT\\fR\n", text)
        self.assertIn("(none, text, json)", text)

    def test_what_is_refused(self):
        self.refused("man", "no-such-command", names=["no-such-command"])
        self.assertEqual(subprocess.run([PROGRAM, "man", "--all", str(WORK / "none")], capture_output=True).returncode, 1)


if __name__ == "__main__":
    unittest.main()
