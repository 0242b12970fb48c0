#!/usr/bin/env python3
"""Mistral's official client of today, unmodified, against `mixtral serve`.

Usage: PROGRAM [unittest arguments].
"""

import unittest
from typing import Literal

from server import Server

import pydantic
from mistralai.client import Mistral
from mistralai.client.errors import SDKError

HELLO = [{"role": "user", "content": "Hello"}]


def setUpModule():
    global server, client
    server = Server()
    client = Mistral(api_key="none", server_url=server.url)


def tearDownModule():
    server.close()


class Models(unittest.TestCase):
    def test_list_and_retrieve(self):
        self.assertEqual(client.models.list().data[0].id, "tiny")
        self.assertEqual(client.models.retrieve(model_id="open-mixtral-8x7b").id, "open-mixtral-8x7b")
        name = "mistralai/Mixtral-8x7B-Instruct-v0.1"
        self.assertEqual(client.models.retrieve(model_id=name).id, name)


class Chat(unittest.TestCase):
    def test_answer(self):
        answer = client.chat.complete(model="mistral-small", messages=HELLO, max_tokens=8, random_seed=1)
        self.assertEqual(answer.object, "chat.completion")
        self.assertIsInstance(answer.choices[0].message.content, str)
        self.assertGreater(answer.usage.prompt_tokens, 0)

    def test_safe_prompt_makes_the_prompt_longer(self):
        tokens = lambda safe: client.chat.complete(model="tiny", messages=[{"role": "user", "content": "a"}], max_tokens=1, safe_prompt=safe)
        self.assertGreater(tokens(True).usage.prompt_tokens, tokens(False).usage.prompt_tokens + 30)

    def test_answers_begin_with_the_prefix(self):
        messages = HELLO + [{"role": "assistant", "content": "Once, ", "prefix": True}]
        answer = client.chat.complete(model="tiny", messages=messages, max_tokens=4)
        self.assertTrue(answer.choices[0].message.content.startswith("Once, "))
        text = "".join(event.data.choices[0].delta.content for event in client.chat.stream(model="tiny", messages=messages, max_tokens=4))
        self.assertTrue(text.startswith("Once, "))

    def test_stream(self):
        text, usage, reason = "", None, None
        with client.chat.stream(model="tiny", messages=HELLO, max_tokens=12, temperature=0) as stream:
            for event in stream:
                text += event.data.choices[0].delta.content
                usage = event.data.usage or usage
                reason = event.data.choices[0].finish_reason or reason
        whole = client.chat.complete(model="tiny", messages=HELLO, max_tokens=12, temperature=0)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)
        self.assertIn(reason, ("stop", "length"))

    def test_log_probabilities(self):
        answer = client.chat.complete(model="tiny", messages=HELLO, max_tokens=4, logprobs=True, top_logprobs=2)
        self.assertEqual(len(answer.choices[0].logprobs.content[0].top_logprobs), 2)

    def test_answers_are_parsed_into_a_model(self):
        class Answer(pydantic.BaseModel):
            word: Literal["Once", "two"]

        answer = client.chat.parse(Answer, model="tiny", messages=HELLO, temperature=0.5)
        self.assertIsInstance(answer.choices[0].message.parsed, Answer)

    def test_errors(self):
        with self.assertRaises(SDKError) as caught:
            client.chat.complete(model="tiny", messages=HELLO, temperature=7)
        self.assertEqual(caught.exception.status_code, 400)
        self.assertIn("temperature", str(caught.exception))


class Others(unittest.TestCase):
    def test_embeddings(self):
        answer = client.embeddings.create(model="mistral-embed", inputs=["Hello", "Once"])
        self.assertEqual(len(answer.data), 2)
        self.assertEqual(len(answer.data[0].embedding), 32)
        self.assertEqual(len(client.embeddings.create(model="tiny", inputs="a", output_dimension=4).data[0].embedding), 4)

    def test_fill_in_the_middle_without_a_suffix(self):
        answer = client.fim.complete(model="tiny", prompt="Once upon", max_tokens=4)
        self.assertIsInstance(answer.choices[0].message.content, str)
        with self.assertRaises(SDKError):
            client.fim.complete(model="tiny", prompt="Once upon", suffix="x", max_tokens=4)

    def test_a_stream_of_fill_in_the_middle_is_the_whole_answer(self):
        options = dict(model="tiny", prompt="Once upon", max_tokens=12, temperature=0)
        text, usage, reason = "", None, None
        with client.fim.stream(**options) as stream:
            for event in stream:
                text += event.data.choices[0].delta.content
                usage = event.data.usage or usage
                reason = event.data.choices[0].finish_reason or reason
        whole = client.fim.complete(**options)
        self.assertEqual((text, reason), (whole.choices[0].message.content, whole.choices[0].finish_reason))
        self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)


if __name__ == "__main__":
    unittest.main()
