#!/usr/bin/env python3
"""`mixtral bench`: measures what it is asked for, and reports it for people and programs.

Usage: PROGRAM [unittest arguments].
"""

import pathlib
import unittest

from program import MODEL, Case


class Bench(Case):
    def test_measures_the_tests_named_and_no_others(self):
        report = self.json_of("bench", "-q", "--json", "-m", MODEL, "--prefill", "16", "--decode", "3,5", "--mixed", "8", "--batch", "1,4",
                              "--depth", "0,32", "--threads", "2", "--repeat", "2")
        self.assertEqual(report["machine"]["threads"], 2)
        for limit in ("read_gb_per_s", "peak_int8_gops", "peak_int4_gops", "peak_f32_gflops"):
            self.assertGreater(report["machine"][limit], 0)
        cases = [(r["test"], r["n_tokens"], r["batch"], r["depth"]) for r in report["results"]]
        expected = [("prefill", 16, 1, depth) for depth in (0, 32)]
        expected += [("decode", n, batch, depth) for n in (3, 5) for batch in (1, 4) for depth in (0, 32)]
        expected += [("mixed", 8, batch, depth) for batch in (1, 4) for depth in (0, 32)]
        self.assertEqual(sorted(cases), sorted(expected))
        for result in report["results"]:
            self.assertLessEqual(result["min"], result["tokens_per_second"])
            self.assertLessEqual(result["tokens_per_second"], result["max"])
            self.assertGreater(result["gb_per_s"], 0)
            self.assertGreater(result["gops"], 0)

    def test_table_and_csv_name_the_model(self):
        common = ["bench", "-q", "-m", MODEL, "--decode", "2", "--threads", "1", "--repeat", "1"]
        table = self.good(*common).stdout.decode()
        self.assertIn("tok/s", table)
        self.assertIn(pathlib.Path(MODEL).name, table)
        lines = self.good(*common, "--csv").stdout.decode().splitlines()
        self.assertEqual(len(lines), 2)
        self.assertEqual(lines[0].count(","), lines[1].count(","))

    def test_serves_many_callers(self):
        common = ["bench", "-q", "-m", MODEL, "--threads", "2", "--repeat", "1", "--serve", "3x40x6,1x8x4", "--shared-prefix", "0,8",
                  "--rate", "0,200", "--intruder", "0,30"]
        report = self.json_of(*common, "--json")
        self.assertEqual(report["results"], [])
        self.assertEqual(len(report["serve"]), 16)
        for result in report["serve"]:
            self.assertGreater(result["tokens_per_second"], 0)
            self.assertGreater(result["first_token_p50"], 0)
            self.assertLessEqual(result["first_token_p50"], result["first_token_p99"])
            self.assertLessEqual(result["next_token_p50"], result["next_token_p99"])
            self.assertLessEqual(result["next_token_p99"], result["next_token_max"])
            self.assertEqual(result["intruder_p50"] > 0, result["intruder_tokens"] > 0)
            self.assertTrue(0 <= result["overhead_share"] < 1)
            self.assertEqual(result["preemptions"], 0)
            self.assertGreater(result["planned_bytes"], 0)
            self.assertGreater(result["resident_bytes"], 0)
        lines = self.good(*common, "--csv").stdout.decode().splitlines()
        self.assertEqual([line.count(",") for line in lines], [lines[0].count(",")] * 17)
        self.assertIn("first p50 ms", self.good(*common).stdout.decode())

    def test_serving_finds_shared_prefixes_and_runs_out_of_pages(self):
        common = ["bench", "-q", "--json", "-m", MODEL, "--threads", "2", "--repeat", "1"]
        shared = self.json_of(*common, "--serve", "4x150x4", "--shared-prefix", "128", "--chunk", "64")["serve"][0]
        self.assertGreater(shared["cached_share"], 0.3)
        crowded = self.json_of(*common, "--serve", "4x20x220", "--kv-positions", "320")["serve"][0]
        self.assertGreater(crowded["preemptions"], 0)
        fair = self.json_of(*common, "--serve", "3x8x100")["serve"][0]["most_to_fewest"]
        self.assertTrue(1 <= fair < 1.1, fair)
        routed = self.json_of(*common, "--serve", "2x8x4", "--routing")["serve"]
        self.assertEqual([result["routing"] for result in routed], [0, 1])

    def test_machine_alone_needs_no_model(self):
        text = self.good("bench", "-q", "--machine", "--threads", "1", XDG_CACHE_HOME="/nowhere").stdout.decode()
        self.assertIn("GB/s", text)

    def test_copying_tells_what_speculation_is_worth(self):
        report = self.json_of("bench", "-q", "--json", "-m", MODEL, "--copy", "12", "--repeat", "2", "--threads", "1")
        self.assertEqual(report["results"], [])
        self.assertEqual([r["task"] for r in report["speculation"]], ["copy", "plain"])
        for result in report["speculation"]:
            self.assertGreater(result["tokens_per_second_without"], 0)
            self.assertGreater(result["ratio"], 0)
            self.assertLessEqual(result["accepted_draft_tokens"], result["drafted_tokens"])

    def test_refuses_what_makes_no_sense(self):
        self.refused("bench", "-m", MODEL, "--decode", "0", names=["--decode"])
        self.refused("bench", "-m", MODEL, "--copy", "1", names=["--copy"])
        self.refused("bench", "-m", MODEL, "--json", "--csv", names=["--csv"])
        for bad in ("16x32", "0x1x1", "1x2x3x4", "axbxc", "1x-2x3", ""):
            self.refused("bench", "-m", MODEL, "--serve", bad, names=["--serve"])
        self.refused("bench", "-m", MODEL, "--serve", "1x8x4", "--shared-prefix", "9", names=["--shared-prefix", "9"])
        self.refused("bench", "-m", MODEL, "--serve", "1x8x4", "--decode", "1", "--csv", names=["--csv"])
        self.refused("bench", "-m", "/nowhere/model.gguf", "--decode", "1", names=["/nowhere/model.gguf"])


if __name__ == "__main__":
    unittest.main()
