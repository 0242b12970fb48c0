#!/usr/bin/env python3
"""Measures this project's server and llama.cpp's through HTTP: the same file, the same requests, in turn.

llama-server first tries its flags once. Then the servers take turns, each started anew, warmed up by one round, and
measured by `mixtral load-test`: all callers at once, random prompts, answers of fixed length. The figures are medians.

    bench/peers/build.sh
    mixtral make-model --layers 6 --type Q4_K_M -o six-Q4_K_M.gguf
    bench/peers/compare_servers.py -m six-Q4_K_M.gguf -o bench/results/NAME

writes NAME.json and NAME.md. Takes about ten minutes.
"""

import argparse
import contextlib
import datetime
import json
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from compare import PEERS, ROOT, batch_flags, cpu_name, git

VARIANTS = [batch_flags(flags) for flags in PEERS["llama.cpp"]]
START_SECONDS = 300


def ready(url):
    with contextlib.suppress(OSError, urllib.error.URLError):
        with urllib.request.urlopen(url + "/health", timeout=2) as answer:
            return answer.status == 200
    return False


@contextlib.contextmanager
def served(command, url):
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([str(word) for word in command], cwd=folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + START_SECONDS
            while not ready(url):
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"did not start: {' '.join(map(str, command))}")
                time.sleep(0.2)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def server_command(args, name, flags):
    if name == "mixtral":
        return [args.program, "serve", "-q", "-m", args.model, "--port", args.port, "--threads", args.threads]
    context = args.callers * (args.prompt + args.answer + 32)
    return [args.peers / "llama.cpp/bin/llama-server", "-m", args.model, "--port", args.port, "-t", args.threads,
            "-tb", args.threads, "-np", args.callers, "-c", context, "--cache-ram", 0, *flags]


def measure(args, name, flags, seed):
    url = f"http://127.0.0.1:{args.port}"
    load = [args.program, "load-test", "-q", "--json", "--url", url, "--concurrency", args.callers, "--requests",
            args.callers, "--prompt-tokens", args.prompt, "-n", args.answer, "--seed"]
    with served(server_command(args, name, flags), url):
        for round_seed in (1000 + seed, seed):  # the first warms up
            out = subprocess.run([str(word) for word in [*load, round_seed * args.callers]], stdout=subprocess.PIPE,
                                 check=True, text=True).stdout
    result = json.loads(out)
    if result["outcomes"] != {"200": args.callers} or result["tokens"] != args.callers * args.answer:
        raise RuntimeError(f"{name} {' '.join(flags)}: {result['outcomes']}, {result['tokens']} tokens")
    return {"tokens_per_second": result["tokens_per_second"], "first_token_s": result["first_token"]["p50"],
            "between_tokens_s": result["between_tokens"]["p50"]}


def best_flags(args):
    speeds = []
    for flags in VARIANTS:
        try:
            speeds.append((measure(args, "llama-server", flags, 0)["tokens_per_second"], flags))
            print(f"llama-server {' '.join(flags)}: {speeds[-1][0]:.1f}", flush=True)
        except (RuntimeError, subprocess.CalledProcessError) as error:  # some combinations do not work
            print(error, file=sys.stderr)
    return max(speeds)[1]


def markdown(report):
    ours, theirs = report["medians"]["mixtral"], report["medians"]["llama-server"]
    lines = [
        f"{report['cpu']}, {report['threads']} threads, {report['date']}, commit {report['commit']}; {report['callers']} callers, prompts of "
        f"{report['prompt']} tokens, answers of {report['answer']}; medians of {report['repeat']}",
        "",
        "| | mixtral serve | llama-server | ratio |",
        "|---|---:|---:|---:|",
    ]
    for key, what in [("tokens_per_second", "answer tokens per second"), ("first_token_s", "first token, p50, s"),
                      ("between_tokens_s", "between tokens, p50, s")]:
        lines.append(f"| {what} | {ours[key]:.2f} | {theirs[key]:.2f} | {ours[key] / theirs[key]:.2f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", type=lambda path: pathlib.Path(path).resolve(), required=True, help="a GGUF file")
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--prompt", type=int, default=32, help="tokens of each prompt")
    parser.add_argument("--answer", type=int, default=64, help="tokens of each answer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--port", type=int, default=8377)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/bin/mixtral")
    parser.add_argument("--peers", type=lambda path: pathlib.Path(path).resolve(), default=ROOT / "build/peers")
    parser.add_argument("-o", "--out", type=pathlib.Path, required=True, help="writes OUT.json and OUT.md")
    args = parser.parse_args()

    flags = {"mixtral": [], "llama-server": best_flags(args)}
    runs = {name: [] for name in flags}
    for seed in range(1, args.repeat + 1):
        for name, chosen in flags.items():
            runs[name].append(measure(args, name, chosen, seed))
    report = {
        "cpu": cpu_name(), "date": datetime.date.today().isoformat(), "commit": git("rev-parse", "--short", "HEAD"),
        "model": args.model.name, "callers": args.callers, "prompt": args.prompt, "answer": args.answer,
        "threads": args.threads, "repeat": args.repeat, "flags": " ".join(flags["llama-server"]), "runs": runs,
        "medians": {name: {key: statistics.median(run[key] for run in of) for key in of[0]} for name, of in runs.items()},
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    args.out.with_suffix(".md").write_text(markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()
