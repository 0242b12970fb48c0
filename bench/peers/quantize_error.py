#!/usr/bin/env python3
"""Compares what quantising loses, `mixtral quantize` and llama.cpp's llama-quantize on the same model with the same
importance matrix: squared errors weighted by it, of the tensors to which both give the same type, and the perplexity
of both files, measured by the same program, where all types agree.

    bench/peers/build.sh
    bench/peers/quantize_error.py -m MODEL.gguf --calibration TEXT --text TEXT -o bench/results/NAME

writes NAME.json and NAME.md. Weights are widened by gguf-py, so this needs `pip install gguf` (which brings NumPy).
"""

import argparse
import json
import pathlib
import platform
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy
except ImportError as error:
    sys.exit(f"{error}: pip install gguf")

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIDES = ("mixtral", "llama.cpp")


def run(command, **options):
    with tempfile.TemporaryDirectory() as folder:  # llama.cpp's programs leave logs where they are started
        return subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True, check=True, **options).stdout


def tensors(path):
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def importance(path):
    """Mean squares of the inputs [matrices, columns], by the name of the weight."""
    found = tensors(path)
    sums = {name.removesuffix(".in_sum2"): tensor.data for name, tensor in found.items() if name.endswith(".in_sum2")}
    result = {}
    for name, squares in sums.items():
        counts = numpy.array(found[name + ".counts"].data, dtype=numpy.float64).reshape(-1, 1)
        # Experts that saw too few rows are rounded with other importances by each side: they do not count here.
        result[name] = numpy.where(counts >= 32, numpy.array(squares, dtype=numpy.float64).reshape(len(counts), -1) / numpy.maximum(counts, 1), 0)
    return result


def widened(tensor, matrix):
    """One matrix of a tensor, [rows, columns] in float32."""
    rows = tensor.data if tensor.data.ndim < 3 else tensor.data[matrix]
    return gguf.dequantize(rows, tensor.tensor_type).reshape(-1, int(tensor.shape[0]))


def errors(original, files, weights):
    """{type: {side: weighted squared error}} of the tensors that both give the same new type, and whether all types agree."""
    found, agree = {}, True
    for name, tensor in original.items():
        ours, theirs = (files[side][name] for side in SIDES)
        if ours.tensor_type != theirs.tensor_type:
            agree = False
            continue
        if name not in weights or gguf.GGML_QUANT_SIZES[ours.tensor_type][0] == 1:
            continue
        if tensor.tensor_type == ours.tensor_type:  # copied by both
            continue
        sums = found.setdefault(ours.tensor_type.name, dict.fromkeys(SIDES, 0.0) | {"tensors": 0})
        sums["tensors"] += 1
        for matrix in range(len(weights[name])):
            exact = widened(tensor, matrix)
            for side in SIDES:
                difference = widened(files[side][name], matrix) - exact
                sums[side] += float(numpy.einsum("rc,rc,c->", difference, difference, weights[name][matrix]))
    return found, agree


def perplexity(args, path, base):
    report = json.loads(run([args.program, "perplexity", "-q", "--json", "-m", path, "--kl-base", base]))
    return {"perplexity": report["perplexity"], "error": report["perplexity_error"], "kl": report["kl"]["mean"], "kl_error": report["kl"]["error"]}


def measure(args, folder, matrix, base):
    original, weights, results = tensors(args.model), importance(matrix), []
    for kind in args.types.split(","):
        files = {side: folder / f"{side}.gguf" for side in SIDES}
        run([args.program, "quantize", "-q", "--force", "-m", args.model, "-o", files["mixtral"], "--type", kind, "--imatrix", matrix])
        run([args.quantize, "--allow-requantize", "--imatrix", matrix, args.model, files["llama.cpp"], kind])
        found, agree = errors(original, {side: tensors(path) for side, path in files.items()}, weights)
        result = {"type": kind, "types_agree": agree, "errors": found}
        if agree and base:
            result["perplexity"] = {side: perplexity(args, path, base) for side, path in files.items()}
        print(json.dumps(result), file=sys.stderr)
        results.append(result)
    return results


def markdown(report):
    lines = ["| Mix | Type | Tensors | Error, mixtral | Error, llama.cpp | Ratio |", "|---|---|--:|--:|--:|--:|"]
    for result in report["results"]:
        for kind, sums in sorted(result["errors"].items()):
            ours, theirs = (sums[side] for side in SIDES)
            lines.append(f"| {result['type']} | {kind} | {sums['tensors']} | {ours:.5g} | {theirs:.5g} | {f'{ours / theirs:.3f}' if theirs else '–'} |")
    measured = [result for result in report["results"] if "perplexity" in result]
    if measured:
        lines += ["", "| Mix | Perplexity, mixtral | Perplexity, llama.cpp | KL divergence, mixtral | KL divergence, llama.cpp |", "|---|--:|--:|--:|--:|"]
        for result in measured:
            ours, theirs = (result["perplexity"][side] for side in SIDES)
            lines.append(f"| {result['type']} | {ours['perplexity']:.3f} | {theirs['perplexity']:.3f} | {ours['kl']:.5f} ± {ours['kl_error']:.5f} "
                         f"| {theirs['kl']:.5f} ± {theirs['kl_error']:.5f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", type=pathlib.Path, required=True)
    parser.add_argument("--calibration", type=pathlib.Path, required=True, help="the text that importance is learnt from")
    parser.add_argument("--text", type=pathlib.Path, help="the text that is predicted; without it only errors are compared")
    parser.add_argument("--types", default="Q2_K,Q3_K_S,Q4_K_S,Q4_K_M,Q5_K_M,Q6_K,IQ4_XS,IQ4_NL,Q4_0,Q5_0,Q8_0")
    parser.add_argument("--windows", type=int, default=8, help="of 512 tokens, of each text")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/bin/mixtral")
    parser.add_argument("--quantize", type=pathlib.Path, default=ROOT / "build/peers/llama.cpp/bin/llama-quantize")
    parser.add_argument("-o", "--out", type=pathlib.Path, required=True, help="without .json and .md")
    args = parser.parse_args()
    for name in ("model", "calibration", "text", "program", "quantize", "out"):
        path = getattr(args, name)
        setattr(args, name, path and path.resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        matrix, base = folder / "imatrix.gguf", args.text and folder / "base.bin"
        windows = ["--windows", args.windows]
        run([args.program, "imatrix", "-q", "-m", args.model, "-f", args.calibration, "-o", matrix, *windows])
        if base:
            run([args.program, "perplexity", "-q", "-m", args.model, "-f", args.text, "--save-kl-base", base, *windows])
        results = measure(args, folder, matrix, base)
    report = {"model": args.model.name, "windows": args.windows, "machine": platform.machine(), "results": results}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    args.out.with_suffix(".md").write_text(markdown(report))
    print(markdown(report), end="")


if __name__ == "__main__":
    main()
