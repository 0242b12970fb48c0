#!/usr/bin/env python3
"""`mixtral quantize`, `imatrix` and `perplexity`: from a model and a text to a smaller model that is measured.

Usage: PROGRAM [unittest arguments].
"""

import math
import pathlib
import unittest

from program import MODEL, WORK, Case, run

TEXT = str(WORK / "text.txt")
pathlib.Path(TEXT).write_text("It is a truth universally acknowledged, that a quick brown fox jumps over a lazy dog. " * 12)
WINDOWS = ["-f", TEXT, "-c", "32"]


def out(name):
    return str(WORK / name)


class Quantize(Case):
    def test_writes_a_model_that_answers(self):
        result = self.good("quantize", "-m", MODEL, "-o", out("q8.gguf"), "--type", "q8_0", "--threads", "2")
        self.assertIn("Q8_0", result.stderr.decode())
        self.assertEqual(result.stdout, b"")
        self.assertLess(pathlib.Path(out("q8.gguf")).stat().st_size, pathlib.Path(MODEL).stat().st_size)
        self.good("generate", "-q", "-m", out("q8.gguf"), "--raw", "--greedy", "-n", "3", "Hello")

    def test_says_which_types_did_not_fit(self):
        notes = self.good("quantize", "-m", MODEL, "-o", out("q4.gguf"), "--type", "Q4_K_M").stderr.decode()
        self.assertIn("in the place of Q4_K, whose blocks of 256 do not divide rows of", notes)

    def test_takes_an_importance_matrix(self):
        noted = self.good("imatrix", "-m", MODEL, *WINDOWS, "-o", out("m.gguf"), "--threads", "1").stderr.decode()
        self.assertIn("of 32 tokens", noted)
        self.good("imatrix", "-m", MODEL, *WINDOWS, "-o", out("m3.gguf"), "--threads", "3")
        self.assertEqual(pathlib.Path(out("m.gguf")).read_bytes(), pathlib.Path(out("m3.gguf")).read_bytes())
        self.good("quantize", "-m", MODEL, "-o", out("plain.gguf"), "--type", "Q4_0")
        self.good("quantize", "-m", MODEL, "-o", out("weighted.gguf"), "--type", "Q4_0", "--imatrix", out("m.gguf"))
        self.assertNotEqual(pathlib.Path(out("plain.gguf")).read_bytes(), pathlib.Path(out("weighted.gguf")).read_bytes())

    def test_refuses_what_makes_no_sense(self):
        common = ["quantize", "-m", MODEL, "-o", out("no.gguf")]
        self.refused(*common, "--type", "Q9_K", names=["'Q9_K' is unknown", "Q4_K_M"])
        self.refused(*common, names=["--type"])
        self.refused(*common, "--type", "Q4_0", "--threads", "0", names=["--threads"])
        self.refused(*common, "--type", "Q4_0", "--imatrix", MODEL, names=[MODEL, "general.type"])
        self.refused(*common, "--type", "Q4_0", "--imatrix", "/nowhere/m.gguf", names=["/nowhere/m.gguf"])
        self.refused("quantize", "-m", MODEL, "-o", MODEL, "--type", "Q4_0", names=["--force"])
        self.refused("quantize", "-m", MODEL, "-o", "/nowhere/q.gguf", "--type", "Q4_0", names=["/nowhere"])
        self.assertFalse(pathlib.Path(out("no.gguf")).exists())
        self.refused("imatrix", "-m", MODEL, "-f", TEXT, "-c", "8000", "-o", out("m.gguf"), names=["tokens, expected at least 16000"])
        self.refused("imatrix", "-m", MODEL, "-f", "/nowhere/text", "-o", out("m.gguf"), names=["/nowhere/text"])


class Perplexity(Case):
    def test_reports_for_people_and_programs(self):
        text = self.good("perplexity", "-m", MODEL, *WINDOWS).stdout.decode()
        for word in ("perplexity", "mean NLL", "bits per byte", "tokens scored"):
            self.assertIn(word, text)
        report = self.json_of("perplexity", "-q", "--json", "-m", MODEL, *WINDOWS)
        self.assertAlmostEqual(report["perplexity"], math.exp(report["nll"]), places=6)
        self.assertEqual(report["tokens"], report["windows"] * 15)
        self.assertGreater(report["perplexity_error"], 0)
        self.assertAlmostEqual(report["bits_per_byte"] * report["bytes"], report["nll"] * report["tokens"] / math.log(2), places=3)

    def test_does_not_depend_on_threads(self):
        reports = [self.good("perplexity", "-q", "--json", "-m", MODEL, *WINDOWS, "--threads", str(n)).stdout for n in (1, 3)]
        self.assertEqual(*reports)

    def test_reads_standard_input_and_strides(self):
        text = pathlib.Path(TEXT).read_bytes()
        piped = self.json_of("perplexity", "-q", "--json", "-m", MODEL, "-f", "-", "-c", "32", "--windows", "2", stdin=text)
        self.assertEqual(piped["windows"], 2)
        strided = self.json_of("perplexity", "-q", "--json", "-m", MODEL, "-f", TEXT, "-c", "32", "--stride", "16")
        self.assertEqual(strided["window_tokens"], 256)
        self.assertEqual(strided["tokens"], strided["windows"] * 16)

    def test_compares_with_a_base(self):
        base = out("base.bin")
        saved = self.json_of("perplexity", "-q", "--json", "-m", MODEL, *WINDOWS, "--save-kl-base", base)
        same = self.json_of("perplexity", "-q", "--json", "-m", MODEL, "--kl-base", base)
        self.assertEqual(same["perplexity"], saved["perplexity"])
        self.assertLess(abs(same["kl"]["mean"]), 1e-4)  # the file keeps 16 bits
        self.assertEqual(same["kl"]["same_top"], 1)
        self.good("quantize", "-q", "-m", MODEL, "-o", out("small.gguf"), "--type", "Q4_0", "--force")
        other = self.json_of("perplexity", "-q", "--json", "-m", out("small.gguf"), "--kl-base", base)
        kl = other["kl"]
        self.assertGreater(kl["mean"], 1e-3)
        self.assertLessEqual(kl["median"], kl["percentile_99"])
        self.assertLessEqual(kl["percentile_99"], kl["max"])
        self.assertAlmostEqual(kl["base_nll"], saved["nll"], places=3)
        self.assertIn("KL divergence", self.good("perplexity", "-m", MODEL, "--kl-base", base).stdout.decode())

    def test_refuses_what_makes_no_sense(self):
        common = ["perplexity", "-m", MODEL]
        self.refused(*common, names=["--file"])
        self.refused(*common, "-f", "/nowhere/text", names=["/nowhere/text"])
        self.refused(*common, "-f", TEXT, "-c", "3", names=["--context"])
        self.refused(*common, "-f", TEXT, "-c", "8000", names=["tokens, expected at least 16000"])
        self.refused(*common, "-f", TEXT, "-c", "32", "--stride", "32", names=["--stride 32"])
        self.refused(*common, "--kl-base", TEXT, names=[TEXT, "_logits_"])
        self.refused(*common, "--kl-base", "/nowhere/base", names=["/nowhere/base"])
        self.refused(*common, "--kl-base", TEXT, "-f", TEXT, names=["--kl-base"])
        self.refused(*common, *WINDOWS, "--stride", "16", "--save-kl-base", out("no.bin"), names=["--save-kl-base"])

    def test_interrupted_base_leaves_no_file(self):
        result = run("perplexity", "-m", MODEL, "-f", TEXT, "-c", "8000", "--save-kl-base", out("never.bin"))
        self.assertEqual(result.returncode, 2)
        self.assertFalse(pathlib.Path(out("never.bin")).exists())


if __name__ == "__main__":
    unittest.main()
