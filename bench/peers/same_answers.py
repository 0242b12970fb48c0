#!/usr/bin/env python3
"""Asks this project and llama.cpp the same questions of the same file, greedily, and compares the texts.

Two right implementations may part where the two best tokens are nearly level: the comparison of an answer ends at
the first token whose logit gap falls below --gap. Exit code 1 if the texts differ before that.
"""

import argparse
import json
import pathlib
import subprocess
import sys

QUESTIONS = [
    "What is the capital of France? Answer in one sentence.",
    "Name the largest planet of the solar system.",
    "How do I sort a list in Python?",
    "Tell me why the sky is blue in one sentence.",
    "Write a haiku about the sea.",
    "List three prime numbers greater than 10.",
]


def run(command):
    return subprocess.run(command, check=True, capture_output=True).stdout


def our_answer(program, model, question, n):
    """The prompt as rendered, the token texts of the answer and the logit gap of each."""
    messages = json.dumps([{"role": "user", "content": question}])
    chat = pathlib.Path(args_folder() / "chat.json")
    chat.write_text(messages)
    prompt = json.loads(run([program, "tokenize", "-m", model, "--json", "--chat", str(chat)]))
    ids = ",".join(map(str, prompt["ids"]))
    answer = json.loads(run([program, "generate", "-m", model, "--ids", ids, "--greedy", "-n", str(n), "--logprobs", "2",
                             "--json", "-q"]))
    gaps = [token["top"][0]["logprob"] - token["top"][1]["logprob"] for token in answer["logprobs"]]
    return prompt["text"], answer, gaps


def args_folder():
    folder = pathlib.Path(__file__).resolve().parents[2] / "build" / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def their_answer(simple, model, prompt, n):
    text = run([simple, "-m", model, "-n", str(n), prompt]).decode("utf-8", "replace")
    return text.split("<|im_start|>assistant\n", 1)[1] if "<|im_start|>assistant\n" in text else text


def certain_text(program, model, answer, gaps, smallest_gap):
    """The answer up to the first token that was a close call, and the number of tokens in it."""
    n = next((i for i, gap in enumerate(gaps) if gap < smallest_gap), len(gaps))
    ids = json.dumps({"ids": answer["ids"][:n]})
    decoded = subprocess.run([program, "detokenize", "-m", model, "--json"], input=ids.encode(), check=True, capture_output=True)
    return json.loads(decoded.stdout)["text"], n


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default="build/release/bin/mixtral")
    parser.add_argument("--simple", default=str(args_folder() / "llama.cpp/bin/llama-simple"))
    parser.add_argument("-m", "--model", default=str(pathlib.Path.home() / ".cache/mixtral/default.gguf"))
    parser.add_argument("-n", type=int, default=48)
    parser.add_argument("--gap", type=float, default=0.5)
    args = parser.parse_args()

    differing = 0
    for question in QUESTIONS:
        prompt, answer, gaps = our_answer(args.program, args.model, question, args.n)
        ours, n = certain_text(args.program, args.model, answer, gaps, args.gap)
        theirs = their_answer(args.simple, args.model, prompt, args.n)
        same = theirs.lstrip().startswith(ours.lstrip())
        differing += not same
        print(f"{'same' if same else 'DIFFERENT'}: {n} of {len(gaps)} tokens compared: {question}")
        if not same:
            print(f"  ours:   {ours!r}\n  theirs: {theirs!r}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
