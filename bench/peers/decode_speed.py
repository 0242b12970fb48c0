#!/usr/bin/env python3
"""Decodes the same file with this project and with llama.cpp in turn, and prints the ratio of tokens per second.

Writes JSON with every run beside the medians. usage: decode_speed.py -m FILE [-m FILE ...] [-o OUT.json]
"""

import argparse
import json
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def our_speed(program, model, n, threads):
    out = subprocess.run([program, "generate", "-m", model, "--ids", "1,2,3,4", "--greedy", "-n", str(n), "--ignore-end",
                          "--threads", str(threads), "--context", "512", "--json", "-q"], check=True, capture_output=True).stdout
    return json.loads(out)["timings"]["tokens_per_second"]


def their_speed(bench, model, n, threads, repack):
    out = subprocess.run([bench, "-m", model, "-p", "0", "-n", str(n), "-t", str(threads), "-r", "1", "-o", "json",
                          "--repack", str(repack)], check=True, capture_output=True).stdout
    return json.loads(out)[0]["avg_ts"]


def commit():
    return subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()


def cpu_name():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default=str(ROOT / "build/release/bin/mixtral"))
    parser.add_argument("--bench", default=str(ROOT / "build/peers/llama.cpp/bin/llama-bench"))
    parser.add_argument("-m", "--model", action="append", required=True)
    parser.add_argument("-n", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("-o", "--out")
    args = parser.parse_args()

    results = []
    for model in args.model:
        runs = {"mixtral": [], "llama.cpp": [], "llama.cpp, no repack": []}
        for _ in range(args.repeat):
            runs["mixtral"].append(our_speed(args.program, model, args.n, args.threads))
            runs["llama.cpp"].append(their_speed(args.bench, model, args.n, args.threads, 1))
            runs["llama.cpp, no repack"].append(their_speed(args.bench, model, args.n, args.threads, 0))
        medians = {name: statistics.median(values) for name, values in runs.items()}
        ratio = medians["mixtral"] / max(medians["llama.cpp"], medians["llama.cpp, no repack"])
        results.append({"model": pathlib.Path(model).name, "tokens_per_second": medians, "ratio": ratio, "runs": runs})
        print(f"{pathlib.Path(model).name}: " + ", ".join(f"{k} {v:.2f}" for k, v in medians.items()) + f"; ratio {ratio:.2f}")
    if args.out:
        report = {"cpu": cpu_name(), "commit": commit(), "threads": args.threads, "n_tokens": args.n, "results": results}
        pathlib.Path(args.out).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
