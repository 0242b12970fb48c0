#!/usr/bin/env python3
"""lm-evaluation-harness, unmodified, against `mixtral serve`: scores equal those computed without a server.

Usage: PROGRAM [unittest arguments].
"""

import json
import os
import unittest

from scores import log_probabilities
from server import WORK, Server

os.environ["HF_HOME"] = str(WORK / "huggingface")
os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["OPENAI_API_KEY"] = "none"

import lm_eval
from lm_eval.models.gguf import GGUFLM
from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI
from lm_eval.tasks import TaskManager

DOCUMENTS = [{"question": "Once upon", "choices": [" a two", " Hello one"], "answer": 0},
             {"question": "Hello", "choices": [" one", " two a", " upon"], "answer": 2},
             {"question": "one two", "choices": [" Once", " a"], "answer": 1}]
MULTIPLE_CHOICE = """
task: tiny_choice
dataset_path: json
dataset_kwargs: {data_files: {test: FILE}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
target_delimiter: ""
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: acc}]
"""
GENERATION = """
task: tiny_generation
dataset_path: json
dataset_kwargs: {data_files: {test: FILE}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "one"
generation_kwargs: {max_gen_toks: 8, temperature: 0, until: ["two", "</s>", "x", "y", "z"]}
metric_list: [{metric: exact_match}]
"""


def setUpModule():
    global server, tasks
    server = Server()
    (WORK / "documents.jsonl").write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))
    for name, text in ("choice", MULTIPLE_CHOICE), ("generation", GENERATION):
        (WORK / f"{name}.yaml").write_text(text.replace("FILE", str(WORK / "documents.jsonl")))
    tasks = TaskManager(include_path=str(WORK), include_defaults=False)


def tearDownModule():
    server.close()


def evaluate(model, task):
    return lm_eval.simple_evaluate(model=model, tasks=[task], task_manager=tasks, log_samples=True, bootstrap_iters=0)["samples"][task]


def tokens(text):
    return server.post("/tokenize", {"prompt": text, "add_special_tokens": False})[1]["tokens"]


class Harness(unittest.TestCase):
    def completions(self, **options):
        return LocalCompletionsAPI(model="mistralai/Mixtral-8x7B-v0.1", base_url=server.url + "/v1/completions", tokenizer_backend="remote",
                                   max_length=1024, **options)

    def test_a_multiple_choice_task_is_scored_as_without_a_server(self):
        for batch_size in (1, 4):
            samples = evaluate(self.completions(batch_size=batch_size), "tiny_choice")
            self.assertEqual(len(samples), len(DOCUMENTS))
            for sample in samples:
                for choice, response in zip(sample["doc"]["choices"], sample["filtered_resps"]):
                    context = tokens(sample["doc"]["question"])
                    ids = tokens(sample["doc"]["question"] + choice)
                    self.assertEqual(ids[:len(context)], context)
                    expected = sum(log_probabilities(ids)[len(context) - 1:])
                    self.assertAlmostEqual(response[0], expected, delta=1e-6)

    def test_so_it_is_by_texts_and_their_offsets(self):
        for sample in evaluate(GGUFLM(base_url=server.url), "tiny_choice"):
            for choice, response in zip(sample["doc"]["choices"], sample["filtered_resps"]):
                context, ids = ([1, *tokens(text)] for text in (sample["doc"]["question"], sample["doc"]["question"] + choice))
                self.assertAlmostEqual(response[0], sum(log_probabilities(ids)[len(context) - 1:]), delta=1e-6)

    def test_texts_are_continued(self):
        samples = evaluate(self.completions(), "tiny_generation")
        for sample in samples:
            body = {"prompt": tokens(sample["doc"]["question"]), "max_tokens": 8, "temperature": 0, "stop": ["two", "</s>", "x", "y", "z"]}
            self.assertEqual(sample["resps"][0][0], server.post("/v1/completions", body)[1]["choices"][0]["text"])

    def test_dialogues_are_answered(self):
        model = LocalChatCompletion(model="tiny", base_url=server.url + "/v1/chat/completions")
        samples = lm_eval.simple_evaluate(model=model, tasks=["tiny_generation"], task_manager=tasks, log_samples=True, bootstrap_iters=0,
                                          apply_chat_template=True)["samples"]["tiny_generation"]
        self.assertEqual(len(samples), len(DOCUMENTS))


if __name__ == "__main__":
    unittest.main()
