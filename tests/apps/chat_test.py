#!/usr/bin/env python3
"""`mixtral chat`: the dialogue on a terminal and through a pipe.

Usage: PROGRAM [unittest arguments].
"""

import contextlib
import os
import pty
import select
import signal
import termios
import time
import unittest

import tiny_model
from program import MODEL, PROGRAM, WORK, Case, golden, run


class Terminal:
    """The program on a terminal of its own."""

    def __init__(self, *arguments):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            environment = {**os.environ, "TERM": "xterm", "XDG_STATE_HOME": str(WORK / "state"), "LC_ALL": "C.UTF-8"}
            environment.pop("NO_COLOR", None)
            os.execve(PROGRAM, [PROGRAM, *arguments], environment)
        self.seen = ""

    def wait_for(self, text, timeout=60):
        """Reads until `text` appears, and returns everything before it."""
        end = time.monotonic() + timeout
        while text not in self.seen:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise AssertionError(f"{text!r} did not appear in {self.seen!r}")
            try:
                self.seen += os.read(self.fd, 65536).decode(errors="replace")
            except OSError:
                raise AssertionError(f"the program ended before {text!r}: {self.seen!r}") from None
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, text):
        os.write(self.fd, text.encode())

    def type_at_prompt(self, text, prompt="> "):
        """Types once the program has prompted and takes single keys: what is typed before that change can get lost."""
        self.wait_for(prompt)
        end = time.monotonic() + 60
        while termios.tcgetattr(self.fd)[3] & termios.ICANON:
            if time.monotonic() > end:
                raise AssertionError("the terminal stayed in its line mode")
            time.sleep(0.002)
        self.type(text)

    def exit_code(self, timeout=30):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError(f"the program did not end: {self.seen!r}")


class Chat(Case):
    def chat(self, *arguments):
        terminal = Terminal("chat", "-m", MODEL, "--chat-template", "mistral", *arguments)
        self.addCleanup(os.close, terminal.fd)
        return terminal

    def test_lines_of_standard_input_are_messages(self):
        result = self.good("chat", "-m", MODEL, "--chat-template", "mistral", "-n", "3", "-q", stdin="Hello\n\nAgain")
        self.assertEqual(result.stderr, b"")
        self.assertEqual(result.stdout.count(b"\n") >= 2, True)
        self.assertNotIn(b"\x1b", result.stdout)

    def test_dialogue_repeats(self):
        options = ["chat", "-m", MODEL, "--chat-template", "mistral", "-n", "5", "-q", "--temperature", "1", "--seed", "3"]
        first = self.good(*options, stdin="Hello\nHello\n").stdout
        self.assertEqual(self.good(*options, stdin="Hello\nHello\n").stdout, first)

    def test_bad_options_are_refused_at_the_start(self):
        self.refused("chat", "-m", MODEL, "--chat-template", "mistral", "-q", "--top-p", "7", names=["--top-p"])
        self.refused("chat", "-m", MODEL, "-q", names=["mistral", "chatml", "llama-2"])
        self.refused("chat", "-m", golden("models/mixtral-tiny-f32"), "-q", names=["no tokenizer"])

    def test_full_context_says_what_to_do(self):
        result = run("chat", "-m", MODEL, "--chat-template", "mistral", "-q", "--context", "40", stdin="a " * 50)
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"/reset", result.stderr)

    def test_first_error_ends_a_script(self):
        result = run("chat", "-m", MODEL, "--chat-template", "mistral", stdin="/nonsense\nHello\n")
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"/nonsense", result.stderr)

    def test_commands(self):
        terminal = self.chat("-n", "4")
        terminal.type_at_prompt("/help\r")
        terminal.wait_for("/routing")
        terminal.type_at_prompt("/routing\r")
        terminal.wait_for("no answer yet")
        terminal.type_at_prompt("/stats\r")
        terminal.wait_for("no answer yet")
        terminal.type_at_prompt("Hello\r")
        terminal.wait_for("tokens/s")
        terminal.type_at_prompt("/stats\r")
        terminal.wait_for("context")
        terminal.type_at_prompt("/routing 1\r")
        terminal.wait_for("layer 1 of 2")
        shown = terminal.wait_for("expert  tokens")
        self.assertIn("\x1b[", shown)  # coloured
        self.assertIn("[-]", shown)  # the last token was cut off before any expert read it
        terminal.type_at_prompt("/routing 7\r")
        terminal.wait_for("0 to 1")
        terminal.type_at_prompt("/system Be brief.\r")
        terminal.wait_for("system text is set")
        terminal.type_at_prompt("/reset\r")
        terminal.wait_for("new dialogue")
        terminal.type_at_prompt("/stats\r")
        terminal.wait_for("no answer yet")
        terminal.type_at_prompt("/nonsense\r")
        terminal.wait_for("no command")
        terminal.type_at_prompt("/quit\r")
        self.assertEqual(terminal.exit_code(), 0)

    def test_messages_of_several_lines(self):
        terminal = self.chat("-n", "2")
        terminal.type_at_prompt("one \\\r")
        terminal.type_at_prompt("two\r", "... ")
        terminal.wait_for("tokens/s")
        terminal.type_at_prompt('"""one\r')
        terminal.type_at_prompt('two"""\r', "... ")
        terminal.wait_for("tokens/s")
        terminal.type_at_prompt("\x04")
        self.assertEqual(terminal.exit_code(), 0)

    def test_control_c_stops_the_answer_and_not_the_program(self):
        terminal = self.chat("--logit-bias", f"{tiny_model.END}=-1000", "--context", "100000")
        terminal.type_at_prompt("Hello\r")
        terminal.wait_for("\n")
        time.sleep(0.5)
        terminal.type("\x03")
        terminal.wait_for(", stopped")
        terminal.type_at_prompt("half a thought\x03")
        terminal.wait_for("\n")
        terminal.type_at_prompt("/quit\r")
        self.assertEqual(terminal.exit_code(), 0)

    def test_history_is_kept(self):
        terminal = self.chat("-n", "2")
        terminal.type_at_prompt("remember this one\r")
        terminal.wait_for("tokens/s")
        terminal.type_at_prompt("/quit\r")
        self.assertEqual(terminal.exit_code(), 0)
        history = WORK / "state/mixtral/history"
        if not history.exists():
            self.skipTest("built without libedit")
        terminal = self.chat("-n", "2")
        terminal.type_at_prompt("\x1b[A\x1b[A")
        terminal.wait_for("remember this one")
        terminal.type("\x03")
        terminal.wait_for("\n")
        terminal.type_at_prompt("\x04")
        self.assertEqual(terminal.exit_code(), 0)


if __name__ == "__main__":
    unittest.main()
