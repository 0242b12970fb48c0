#!/usr/bin/env python3
"""Mistral's client as Mixtral's announcement used it, unmodified, against `mixtral serve`.

Usage: PROGRAM [unittest arguments].
"""

import unittest

from server import Server

from mistralai.client import MistralClient
from mistralai.exceptions import MistralAPIException
from mistralai.models.chat_completion import ChatMessage

HELLO = [ChatMessage(role="user", content="Hello")]


def setUpModule():
    global server, client
    server = Server()
    client = MistralClient(api_key="none", endpoint=server.url, max_retries=0)


def tearDownModule():
    server.close()


class Client(unittest.TestCase):
    def test_models(self):
        self.assertEqual(client.list_models().data[0].id, "tiny")
        self.assertEqual(client.list_models().data[0].id, "tiny")  # on the same connection

    def test_chat(self):
        answer = client.chat(model="mistral-small", messages=HELLO, max_tokens=8, safe_prompt=False)
        self.assertIsInstance(answer.choices[0].message.content, str)

    def test_stream(self):
        text = ""
        for chunk in client.chat_stream(model="mistral-small", messages=HELLO, max_tokens=8, temperature=0):
            text += chunk.choices[0].delta.content or ""
        self.assertEqual(text, client.chat(model="mistral-small", messages=HELLO, max_tokens=8, temperature=0).choices[0].message.content)

    def test_embeddings(self):
        self.assertEqual(len(client.embeddings(model="mistral-embed", input=["Hello", "Once"]).data), 2)

    def test_errors(self):
        with self.assertRaises(MistralAPIException):
            client.chat(model="mistral-small", messages=HELLO, temperature=7)


if __name__ == "__main__":
    unittest.main()
