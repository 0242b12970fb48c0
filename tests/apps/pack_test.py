#!/usr/bin/env python3
"""Packed models: `mixtral pack`, every command with one, and damaged ones.

Usage: PROGRAM [unittest arguments].
"""

import os
import subprocess
import unittest

from program import MODEL, PROGRAM, WORK, Case, golden

PACKED = WORK / "model.packed"


def setUpModule():
    Case().good("pack", "-m", MODEL, "-o", str(PACKED))


class Pack(Case):
    def test_says_what_it_wrote_and_leaves_nothing_else(self):
        out = WORK / "said.packed"
        result = self.good("pack", "-m", MODEL, "-o", str(out))
        self.assertEqual(result.stdout, b"")
        self.assertIn(f"{out}: ", result.stderr.decode())
        self.assertIn(" tensors, ", result.stderr.decode())
        self.assertEqual(out.read_bytes(), PACKED.read_bytes())
        self.assertFalse(out.with_name(out.name + ".partial").exists())
        self.assertEqual(self.good("pack", "-m", MODEL, "-o", str(out), "--force", "-q").stderr, b"")

    def test_every_command_gives_what_it_gave(self):
        for arguments in (["generate", "--raw", "Once", "--greedy", "-n", "8", "-q"],
                          ["generate", "--raw", "Once", "--greedy", "-n", "8", "-q", "--backend", "reference"],
                          ["tokenize", "--json"], ["detokenize", "--ids", "300,301"]):
            with self.subTest(arguments):
                self.assertEqual(self.good(*arguments, "-m", str(PACKED), stdin="Once upon").stdout,
                                 self.good(*arguments, "-m", MODEL, stdin="Once upon").stdout)
        self.assertEqual(self.good("chat", "-m", str(PACKED), "--chat-template", "mistral", "--greedy", "-n", "8", stdin="Once\n").stdout,
                         self.good("chat", "-m", MODEL, "--chat-template", "mistral", "--greedy", "-n", "8", stdin="Once\n").stdout)

    def test_logits_are_the_same_bits(self):
        for model, name in (MODEL, "original"), (PACKED, "packed"):
            self.good("logits", "-m", str(model), "--ids", "1,300,301", "-o", str(WORK / name))
        self.assertEqual((WORK / "packed").read_bytes(), (WORK / "original").read_bytes())

    def test_info_tells_the_format(self):
        packed = self.json_of("info", "-m", str(PACKED), "--json")
        original = self.json_of("info", "-m", MODEL, "--json")
        self.assertEqual(packed["format"], "packed model")
        for key in ("architecture", "config", "parameters", "tokenizer", "kernels"):
            self.assertEqual(packed[key], original[key])

    def test_convert_brings_the_original_back(self):
        self.good("convert", "-m", str(PACKED), "-o", str(WORK / "back.gguf"))
        self.good("convert", "-m", MODEL, "-o", str(WORK / "copy.gguf"))
        self.assertEqual((WORK / "back.gguf").read_bytes(), (WORK / "copy.gguf").read_bytes())

    def test_folders_can_be_packed(self):
        folder = golden("models/mixtral-tiny-f32")
        self.good("pack", "-m", folder, "-o", str(WORK / "folder.packed"))
        arguments = ["generate", "--ids", "1,5,9", "--greedy", "-n", "4", "-q"]
        self.assertEqual(self.good(*arguments, "-m", str(WORK / "folder.packed")).stdout, self.good(*arguments, "-m", folder).stdout)

    def test_bad_input_is_refused_in_one_line(self):
        self.refused("pack", "-m", MODEL, names=["--out"])
        self.refused("pack", "-o", str(WORK / "x"), names=["--model"])
        self.refused("pack", "-m", str(WORK / "none.gguf"), "-o", str(WORK / "x"), names=["none.gguf"])
        self.refused("pack", "-m", MODEL, "-o", str(PACKED), names=[PACKED, "--force"])
        self.refused("pack", "-m", MODEL, "-o", str(WORK), "--force", names=[WORK])
        self.refused("pack", "-m", MODEL, "-o", str(WORK / "none/x"), names=[WORK / "none"])
        self.assertFalse((WORK / "x").exists())


class Damage(Case):
    def damaged(self, name, change):
        data = bytearray(PACKED.read_bytes())
        change(data)
        path = WORK / name
        path.write_bytes(data)
        return str(path)

    def test_good_files_pass(self):
        self.assertIn("all checksums are right", self.good("info", "--verify", "-m", str(PACKED)).stderr.decode())

    def test_other_formats_have_no_checksums(self):
        self.refused("info", "--verify", "-m", MODEL, names=["model.gguf", "MIXTPACK"])

    def test_names_the_damaged_tensor(self):
        def flip(data):
            data[-8192] ^= 1
        path = self.damaged("flipped.packed", flip)
        self.refused("info", "--verify", "-m", path, names=["flipped.packed", "tensor", "checksum"])
        self.json_of("info", "-m", path, "--json")  # which looks at the header only

    def test_damaged_headers_are_refused_by_every_command(self):
        size = PACKED.stat().st_size

        def cut(n):
            return lambda data: data.__delitem__(slice(n, None))

        def newer(data):
            data[8] = 3

        def flip(data):
            data[200] ^= 1
        cases = [(f"cut-{n}.packed", cut(n), "") for n in (8, 40, 4095, 4096, size // 2, size - 1)]
        cases += [("newer.packed", newer, "version 3"), ("header.packed", flip, "checksum")]
        for name, change, field in cases:
            path = self.damaged(name, change)
            for command in (["generate", "--ids", "1"], ["info"], ["tokenize"], ["chat"], ["convert", "-o", str(WORK / "x.gguf")],
                            ["pack", "-o", str(WORK / "x.packed")]):
                with self.subTest(name + " " + command[0]):
                    self.refused(*command, "-m", path, names=[name, field])

    def test_a_file_that_is_cut_while_in_use_ends_the_program_in_one_line(self):
        path = self.damaged("shrinking.packed", lambda data: None)
        arguments = [PROGRAM, "chat", "-m", path, "--chat-template", "mistral", "-q"]
        chat = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        chat.stdin.write(b"Once\n")
        chat.stdin.flush()
        chat.stdout.read(1)  # it is loaded, and answers
        os.truncate(path, 4096)
        error = chat.communicate(b"Hello\n" * 3, timeout=60)[1].decode()
        self.assertEqual(chat.returncode, 1, error)
        self.assertRegex(error, r"\Amixtral: .*\bcut\b.*\n\Z")


if __name__ == "__main__":
    unittest.main()
