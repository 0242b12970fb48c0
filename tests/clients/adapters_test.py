#!/usr/bin/env python3
"""Low-rank adapters as models of their own, with the official clients of OpenAI and Mistral.

Usage: PROGRAM [unittest arguments].
"""

import concurrent.futures
import os
import subprocess
import time
import unittest

from server import MODEL, PROGRAM, WORK, Server, events, tiny_model

import openai
from mistralai.client import Mistral

HELLO = [{"role": "user", "content": "Hello"}]
GREEDY = {"messages": HELLO, "max_tokens": 12, "temperature": 0}


def setUpModule():
    global server, client
    for letters in "ab", "xy":
        tiny_model.write_adapter(WORK / letters, letters)
    server = Server("--lora", f"first={WORK / 'ab'}", "--lora", str(WORK / "xy"))
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)


def tearDownModule():
    client.close()
    if server.close() != 0:
        raise RuntimeError("the server did not end well")


def content(model, **fields):
    status, answer = server.post("/v1/chat/completions", {**GREEDY, "model": model, **fields})
    assert status == 200, answer
    return answer["choices"][0]["message"]["content"]


class Models(unittest.TestCase):
    def test_each_is_listed(self):
        base, first, second = client.models.list().data
        self.assertEqual([base.id, first.id, second.id], ["tiny", "tiny:first", "tiny:xy"])
        self.assertEqual((base.parent, first.parent, first.root), (None, "tiny", "tiny"))
        self.assertEqual(client.models.retrieve("tiny:xy").id, "tiny:xy")
        self.assertEqual(client.models.retrieve("first").id, "first")
        with self.assertRaises(openai.NotFoundError):
            client.models.retrieve("tiny:second")

    def test_mistral_sees_fine_tuned_models(self):
        with Mistral(api_key="none", server_url=server.url) as mistral:
            self.assertEqual([model.TYPE if hasattr(model, "TYPE") else model.type for model in mistral.models.list().data],
                             ["base", "fine-tuned", "fine-tuned"])
            self.assertEqual(mistral.models.retrieve(model_id="tiny:first").root, "tiny")
            answer = mistral.chat.complete(model="tiny:first", messages=HELLO, max_tokens=8)
            self.assertEqual(answer.model, "tiny:first")
            self.assertRegex(answer.choices[0].message.content, "^[ab]{8}$")


class Answers(unittest.TestCase):
    def test_the_model_of_a_request_chooses(self):
        for name in "tiny:first", "first", "mixtral:8x7b:first":
            answer = client.chat.completions.create(model=name, messages=HELLO, max_tokens=8)
            self.assertEqual(answer.model, "tiny:first")
            self.assertRegex(answer.choices[0].message.content, "^[ab]{8}$")
        self.assertRegex(client.completions.create(model="xy", prompt="Once", max_tokens=8).choices[0].text, "^[xy]{8}$")
        self.assertNotRegex(content("tiny"), "^[abxy]*$")
        self.assertEqual(content("tiny"), content(None))

    def test_every_endpoint_takes_them(self):
        parts = events(server.request("POST", "/v1/chat/completions", {**GREEDY, "model": "xy", "stream": True})[2])
        self.assertEqual({part["model"] for part in parts}, {"tiny:xy"})
        self.assertRegex("".join(part["choices"][0]["delta"]["content"] for part in parts), "^[xy]{12}$")
        self.assertRegex(server.post("/v1/fim/completions", {"model": "xy", "prompt": "Once", "max_tokens": 4})[1]["choices"][0]["message"]["content"], "^[xy]{4}$")
        self.assertEqual(client.embeddings.create(model="xy", input="Hello").model, "tiny:xy")
        self.assertEqual(server.post("/tokenize", {"model": "xy", "prompt": "Hello"})[0], 200)

    def test_other_names_are_not_found(self):
        for name in "tiny:", "tiny:ab", "first:tiny", "other:first", "tiny:first:xy":
            status, body = server.post("/v1/chat/completions", {**GREEDY, "model": name})
            self.assertEqual((status, body["code"], body["param"]), (404, "model_not_found", "model"), name)

    def test_cached_prompts_are_not_shared_between_them(self):
        def cached(model):
            usage = server.post("/v1/completions", {"model": model, "prompt": "two " * 100, "max_tokens": 1})[1]["usage"]
            return usage["prompt_tokens_details"]["cached_tokens"]

        self.assertTrue(all(cached(model) <= 1 for model in ("tiny", "first", "xy")))  # BOS, perhaps
        self.assertTrue(all(cached(model) > 50 for model in ("tiny", "first", "xy")))

    def test_answers_in_company_are_those_alone(self):
        models = ["tiny", "first", "xy"] * 5
        alone = {model: content(model) for model in models}
        with concurrent.futures.ThreadPoolExecutor(len(models)) as pool:
            self.assertEqual(list(pool.map(content, models)), [alone[model] for model in models])


class Failures(unittest.TestCase):
    """An adapter whose numbers are finite, and whose products are not: answers that fail on the way."""

    def setUp(self):
        tiny_model.write_adapter(WORK / "huge", "hu", size=1e38)
        self.server = Server("--lora", str(WORK / "huge"))
        self.addCleanup(self.server.close)

    def test_only_the_answer_that_fails_does(self):
        fields = {**GREEDY, "max_tokens": 100}

        def ask(model):
            return self.server.post("/v1/chat/completions", {**fields, "model": model})

        alone = ask("tiny")[1]["choices"]
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            for model, (status, body) in zip(["tiny", "huge"] * 6, pool.map(ask, ["tiny", "huge"] * 6)):
                if model == "tiny":
                    self.assertEqual(body["choices"], alone)
                else:
                    self.assertEqual((status, body["type"]), (500, "server_error"))
                    self.assertIn("expected a finite number", body["message"])
        while self.server.metric("mixtral_sequences_running") > 0:  # until the next step at most
            time.sleep(0.01)

    def test_clients_understand_errors_inside_streams(self):
        with openai.OpenAI(base_url=self.server.url + "/v1", api_key="none", max_retries=0) as other:
            with self.assertRaisesRegex(openai.APIError, "finite number"):
                for _ in other.chat.completions.create(model="huge", messages=HELLO, stream=True, max_tokens=100):
                    pass
        with Mistral(api_key="none", server_url=self.server.url) as other:
            with other.chat.stream(model="huge", messages=HELLO, max_tokens=100) as stream:
                reasons = [event.data.choices[0].finish_reason for event in stream]
            self.assertEqual([reason for reason in reasons if reason], ["error"])


class Options(unittest.TestCase):
    def run_serve(self, *arguments, **environment):
        return subprocess.run([PROGRAM, "serve", "-m", MODEL, "--port", "0", "-q", *arguments], capture_output=True, text=True, timeout=60,
                              env={**os.environ, **environment})

    def test_mistakes_are_named(self):
        path = str(WORK / "ab")
        for arguments, word in ((["--lora", f"mixtral={path}"], "mixtral"), (["--lora", f"x={path}", "--lora", f"x={path}"], "'x'"),
                                (["--lora", f"={path}"], path), (["--lora", "x=no-adapter"], "no-adapter"), (["--lora", ""], "--lora")):
            result = self.run_serve(*arguments)
            self.assertEqual(result.returncode, 2, (arguments, result.stderr))
            self.assertIn(word, result.stderr)

    def test_the_environment_and_files(self):
        self.assertIn('lora = ["a=b"]', self.run_serve("--print-config", MIXTRAL_LORA="a=b").stdout)
        file = WORK / "adapters.toml"
        file.write_text(f'[serve]\nlora = ["one={WORK / "ab"}", "{WORK / "xy"}/"]\n')
        with Server("--config", str(file)) as other:
            self.assertEqual([model["id"] for model in other.get("/v1/models")[1]["data"]], ["tiny", "tiny:one", "tiny:xy"])


if __name__ == "__main__":
    unittest.main()
