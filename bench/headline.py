#!/usr/bin/env python3
"""The paper's headline on this machine: Mixtral 8x7B, of the quality of Llama 2 70B, at a fraction of its cost.

Neither needs to fit into memory: models of few true-shape layers are made and measured in turn. Two sizes of each tell
what a layer takes and what embedding and output take; that is scaled to the 32 and 80 layers of the whole models.

    bench/headline.py -o bench/results/NAME-headline

writes NAME-headline.json and .md. The models take 10 GB of disk in --folder, where they stay for the next time.
"""

import argparse
import datetime
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))
from compare import ROOT, cpu_name, git

SHAPES = {"mixtral-8x7b": 32, "llama-2-70b": 80}  # with the layers of the whole model
LAYERS = [2, 4]
TESTS = {"prefill": 512, "decode": 48}


def milliseconds(args, model, test):
    """For each token."""
    out = subprocess.run([args.program, "bench", "-q", "--json", "-m", model, f"--{test}", str(TESTS[test]), "--threads",
                          str(args.threads), "--repeat", "1"], capture_output=True, text=True, check=True).stdout
    return 1000 / json.loads(out)["results"][0]["tokens_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--type", default="Q4_K_M")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "mixtral-headline")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/bin/mixtral")
    parser.add_argument("-o", "--out", type=pathlib.Path, required=True, help="writes OUT.json and OUT.md")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)

    models = {}
    for shape in SHAPES:
        for layers in LAYERS:
            models[shape, layers] = args.folder / f"{shape}-{layers}-{args.type}.gguf"
            if not models[shape, layers].exists():
                subprocess.run([args.program, "make-model", "--shape", shape, "--layers", str(layers), "--type", args.type,
                                "-o", models[shape, layers]], check=True)
    runs = {(test, *model): [] for test in TESTS for model in models}
    for _ in range(args.repeat):
        for (test, *model), times in runs.items():
            times.append(milliseconds(args, models[tuple(model)], test))
    median = {key: statistics.median(times) for key, times in runs.items()}

    results = []
    few, many = LAYERS
    for test in TESTS:
        whole = {}
        for shape, n_layers in SHAPES.items():
            layer = (median[test, shape, many] - median[test, shape, few]) / (many - few)
            rest = median[test, shape, few] - few * layer
            whole[shape] = rest + n_layers * layer
            results.append({"test": test, "shape": shape, "ms_of_layers": {n: median[test, shape, n] for n in LAYERS},
                            "ms_a_layer": layer, "ms_rest": rest, "layers": n_layers, "ms_a_token": whole[shape]})
        results[-1]["ratio"] = whole["llama-2-70b"] / whole["mixtral-8x7b"]

    report = {"cpu": cpu_name(), "date": datetime.date.today().isoformat(), "commit": git("rev-parse", "--short", "HEAD"),
              "threads": args.threads, "repeat": args.repeat, "type": args.type, "results": results,
              "runs": [{"test": key[0], "shape": key[1], "layers": key[2], "ms": times} for key, times in runs.items()]}
    lines = [f"| Test | Model | {few} layers | {many} layers | a layer | the rest | the whole: rest + layers × a layer |",
             "|---|---|--:|--:|--:|--:|--:|"]
    for r in results:
        lines.append(f"| {r['test']} | {r['shape']} | {r['ms_of_layers'][few]:.2f} | {r['ms_of_layers'][many]:.2f} | {r['ms_a_layer']:.2f} | "
                     f"{r['ms_rest']:.2f} | {r['ms_rest']:.2f} + {r['layers']} × {r['ms_a_layer']:.2f} = {r['ms_a_token']:.0f} |")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    args.out.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
