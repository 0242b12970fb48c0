#!/usr/bin/env python3
"""Measures this project and its peers on the same files, in turn, and writes the ratios.

First every peer tries its flags once on every test; then all programs take turns, each peer with the flags that
were best for the test. The figures are medians; the ratio is ours to that of the better peer.

    bench/peers/build.sh
    mixtral make-model --layers 6 --type Q4_K_M -o six-Q4_K_M.gguf
    bench/peers/compare.py -m six-Q4_K_M.gguf -o bench/results/NAME

writes NAME.json and NAME.md. Takes about twenty minutes for each file with the standard tests.
"""

import argparse
import datetime
import itertools
import json
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = {
    "llama.cpp": [["--repack", repack, "-fa", fa] for repack, fa in itertools.product("10", "01")],
    "ik_llama.cpp": [["-rtr", rtr, "-fa", fa] for rtr, fa in itertools.product("01", "01")],
}
# The same flags as the programs for batches spell them.
BATCH_FLAGS = {
    ("--repack", "1"): ["--repack"],
    ("--repack", "0"): ["--no-repack"],
    ("-fa", "0"): ["-fa", "off"],
    ("-fa", "1"): ["-fa", "on"],
    ("-rtr", "0"): [],
    ("-rtr", "1"): ["-rtr"],
}


def batch_flags(flags):
    return sum((BATCH_FLAGS[pair] for pair in zip(flags[::2], flags[1::2])), [])


def run(command, stderr=subprocess.DEVNULL):
    with tempfile.TemporaryDirectory() as folder:  # some of the programs leave logs where they are started
        return subprocess.run([str(word) for word in command], cwd=folder, stdout=subprocess.PIPE, stderr=stderr, text=True,
                              check=True).stdout


class Test:
    """What is measured: "prefill 512", "decode 48", "decode 32 x 16", each perhaps "@ DEPTH"."""

    def __init__(self, text):
        match = re.fullmatch(r"(prefill|decode) (\d+)(?: x (\d+))?(?: @ (\d+))?", text)
        if not match:
            sys.exit(f"not a test: {text!r}, expected something like 'prefill 512', 'decode 32 x 16 @ 32'")
        self.text, self.kind = text, match[1]
        self.n_tokens, self.batch, self.depth = int(match[2]), int(match[3] or 1), int(match[4] or 0)

    def ours(self, args, model):
        out = run([args.program, "bench", "-q", "--json", "-m", model, f"--{self.kind}", self.n_tokens, "--batch", self.batch,
                   "--depth", self.depth, "--threads", args.threads, "--repeat", 1] + args.our_flags.split())
        return json.loads(out)

    def theirs(self, args, peer, flags, model):
        folder = args.peers / (peer + args.suffix) / "bin"
        if self.batch == 1:
            n_prompt, n_answer = (self.n_tokens, 0) if self.kind == "prefill" else (0, self.n_tokens)
            depth = ["-d", self.depth] if self.depth and peer == "llama.cpp" else []
            if self.depth and peer != "llama.cpp":
                return None  # its llama-bench knows no depth
            out = run([folder / "llama-bench", "-m", model, "-p", n_prompt, "-n", n_answer, "-t", args.threads, "-r", 1,
                       "-o", "json", *depth, *flags])
            return json.loads(out)[0]["avg_ts"]
        context = self.batch * (max(self.depth, 1) + self.n_tokens + 16)
        out = run([folder / "llama-batched-bench", "-m", model, "-c", context, "-b", 512, "-ub", 512, "-npp", max(self.depth, 1),
                   "-ntg", self.n_tokens, "-npl", self.batch, "-t", args.threads, *batch_flags(flags)], stderr=subprocess.STDOUT)
        # | PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s | ...
        rows = [line.split("|") for line in out.splitlines() if re.match(r"\|\s*\d+ \|", line)]
        return float(rows[0][8]) if rows else None


def best_flags(args, test, model):
    best = {}
    for peer, variants in PEERS.items():
        speeds = []
        for flags in variants:
            try:
                speed = test.theirs(args, peer, flags, model)
            except subprocess.CalledProcessError as error:  # some of their combinations do not work
                print(f"{peer} {' '.join(flags)}: {test.text} failed, exit code {error.returncode}", file=sys.stderr)
                continue
            if speed is not None:
                speeds.append((speed, flags))
        if speeds:
            best[peer] = max(speeds)[1]
    return best


def measure(args, test, model):
    flags = best_flags(args, test, model)
    runs, ours = {name: [] for name in ["mixtral", *flags]}, []
    for _ in range(args.repeat):
        ours.append(test.ours(args, model))
        runs["mixtral"].append(ours[-1]["results"][0]["tokens_per_second"])
        for peer, best in flags.items():
            runs[peer].append(test.theirs(args, peer, best, model))
    medians = {name: statistics.median(values) for name, values in runs.items()}
    return {
        "model": pathlib.Path(model).name,
        "test": test.text,
        "tokens_per_second": medians,
        "ratio": medians["mixtral"] / max(medians[peer] for peer in flags),
        "of_reading": statistics.median(o["results"][0]["of_reading"] for o in ours),
        "of_multiplying": statistics.median(o["results"][0]["of_multiplying"] for o in ours),
        "flags": {peer: " ".join(best) for peer, best in flags.items()},
        "runs": runs,
        "machine": ours[-1]["machine"],
    }


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def git(*words):
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def markdown(report):
    lines = [
        f"{report['cpu']}, {report['threads']} threads, {report['date']}, commit {report['commit']}; tokens per second, medians of {report['repeat']}",
        "",
        "| model | test | mixtral | llama.cpp | ik_llama.cpp | ratio | of reading | of multiplying |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for r in report["results"]:
        speeds = [f"{r['tokens_per_second'][name]:.1f}" if name in r["tokens_per_second"] else "–"
                  for name in ("mixtral", "llama.cpp", "ik_llama.cpp")]
        lines.append(f"| {r['model']} | {r['test']} | {' | '.join(speeds)} | {r['ratio']:.2f} | {100 * r['of_reading']:.0f} % | "
                     f"{100 * r['of_multiplying']:.0f} % |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", action="append", required=True, help="a GGUF file; may be repeated")
    parser.add_argument("-t", "--test", action="append", help="'prefill 512', 'decode 48', 'decode 32 x 16 @ 32' …; may be repeated")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--avx2", action="store_true", help="everything for AVX2 only (build.sh --avx2)")
    parser.add_argument("--flags", action="append", default=[], metavar="PEER=FLAGS", help="only these, instead of trying all")
    parser.add_argument("--our-flags", default="", help="more options for mixtral bench")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/bin/mixtral")
    parser.add_argument("--peers", type=pathlib.Path, default=ROOT / "build/peers")
    parser.add_argument("-o", "--out", type=pathlib.Path, required=True, help="writes OUT.json and OUT.md")
    args = parser.parse_args()
    args.model = [str(pathlib.Path(model).resolve()) for model in args.model]
    for peer, _, flags in (choice.partition("=") for choice in args.flags):
        PEERS[peer] = [flags.split()]
    args.suffix = "-avx2" if args.avx2 else ""
    if args.avx2:
        args.our_flags += " --isa avx2"

    tests = [Test(text) for text in args.test or ["prefill 512", "decode 48", "decode 32 x 16 @ 32"]]
    report = {"cpu": cpu_name(), "date": datetime.date.today().isoformat(), "commit": git("rev-parse", "--short", "HEAD"),
              "threads": args.threads, "repeat": args.repeat, "results": []}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for model in args.model:
        for test in tests:
            result = measure(args, test, model)
            report["results"].append(result)
            print(f"{result['model']}, {test.text}: " + ", ".join(f"{k} {v:.2f}" for k, v in result["tokens_per_second"].items())
                  + f"; ratio {result['ratio']:.2f}", flush=True)
            args.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
            args.out.with_suffix(".md").write_text(markdown(report))


if __name__ == "__main__":
    main()
