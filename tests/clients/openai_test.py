#!/usr/bin/env python3
"""The official openai client, unmodified, against `mixtral serve`.

Usage: PROGRAM [unittest arguments].
"""

import asyncio
import base64
import json
import struct
import unittest
from typing import Literal

from server import Server

import openai
import pydantic

MODEL = "mistralai/Mixtral-8x7B-Instruct-v0.1"
HELLO = [{"role": "user", "content": "Hello"}]


def text_of(tokens):
    """What the bytes of these tokens spell; each byte that is no text is one U+FFFD."""
    data = b"".join(bytes(token.bytes) for token in tokens)
    return "".join("\ufffd" if "\udc80" <= c <= "\udcff" else c for c in data.decode(errors="surrogateescape"))


def setUpModule():
    global server, client
    server = Server()
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)


def tearDownModule():
    client.close()
    if server.close() != 0:
        raise RuntimeError("the server did not end well")


class Models(unittest.TestCase):
    def test_list_and_retrieve(self):
        listed = client.models.list().data
        self.assertEqual(listed[0].id, "tiny")
        self.assertEqual(listed[0].object, "model")
        self.assertEqual(client.models.retrieve("tiny").id, "tiny")

    def test_ids_may_have_a_slash(self):
        self.assertEqual(client.models.retrieve(MODEL).id, MODEL)

    def test_unknown_ids_are_not_found(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            client.models.retrieve("gpt-4")
        self.assertEqual(caught.exception.code, "model_not_found")


class Chat(unittest.TestCase):
    def test_answer(self):
        answer = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=8, seed=1)
        self.assertTrue(answer.id.startswith("chatcmpl-"))
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertTrue(answer._request_id)

    def test_the_same_seed_gives_the_same_answer(self):
        ask = lambda seed: client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=16, seed=seed, temperature=1.5)
        self.assertEqual(ask(5).choices[0].message.content, ask(5).choices[0].message.content)
        self.assertNotEqual(ask(5).choices[0].message.content, ask(6).choices[0].message.content)

    def test_stream_is_the_whole_answer(self):
        options = dict(model="tiny", messages=HELLO, max_tokens=40, temperature=0)
        whole = client.chat.completions.create(**options)
        text, reason, usage = "", None, None
        for chunk in client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True}):
            if chunk.usage:
                usage = chunk.usage
                self.assertEqual(chunk.choices, [])
                continue
            text += chunk.choices[0].delta.content or ""
            reason = chunk.choices[0].finish_reason or reason
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(reason, whole.choices[0].finish_reason)
        self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)

    def test_the_helper_for_streams_with_three_choices(self):
        with client.chat.completions.stream(model="tiny", messages=HELLO, max_tokens=8, n=3, temperature=1) as stream:
            for _ in stream:
                pass
            try:
                final = stream.get_final_completion()
            except openai.LengthFinishReasonError as limit:  # what the helper makes of an answer that was cut
                final = limit.completion
        self.assertEqual([choice.index for choice in final.choices], [0, 1, 2])

    def test_log_probabilities_spell_the_answer(self):
        answer = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=24, logprobs=True, top_logprobs=3, temperature=0)
        content = answer.choices[0].logprobs.content
        self.assertEqual(text_of(content), answer.choices[0].message.content)
        for token in content:
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertEqual(token.logprob, token.top_logprobs[0].logprob)  # greedy
            self.assertEqual(token.token, token.top_logprobs[0].token)

    def test_streamed_log_probabilities_are_those_of_the_text(self):
        for chunk in client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=24, logprobs=True, stream=True, seed=3):
            choice = chunk.choices[0]
            if choice.delta.content:
                self.assertEqual(text_of(choice.logprobs.content), choice.delta.content)

    def test_stop_strings_are_not_part_of_the_answer(self):
        options = dict(model="tiny", messages=HELLO, max_tokens=60, temperature=0)
        whole = client.chat.completions.create(**options).choices[0].message.content
        stop = whole[5:8]
        cut = client.chat.completions.create(**options, stop=[stop, "never"]).choices[0]
        self.assertEqual(cut.message.content, whole[:whole.index(stop)])
        self.assertEqual(cut.finish_reason, "stop")
        self.assertEqual(cut.stop_reason, stop)

    def test_parts_of_text(self):
        parts = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
        options = dict(model="tiny", max_tokens=8, temperature=0)
        self.assertEqual(client.chat.completions.create(messages=parts, **options).choices[0].message.content,
                         client.chat.completions.create(messages=HELLO, **options).choices[0].message.content)

    def test_breaking_out_of_a_stream_ends_it(self):
        before = server.metric("mixtral_client_disconnects_total")
        stream = client.chat.completions.create(model="tiny", messages=HELLO, stream=True, extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()
        for _ in range(200):
            if server.metric("mixtral_sequences_running") == 0:
                break
        self.assertEqual(server.metric("mixtral_sequences_running"), 0)
        self.assertGreaterEqual(server.metric("mixtral_client_disconnects_total"), before)

    def test_many_at_once_are_answered_as_alone(self):
        options = dict(model="tiny", messages=HELLO, max_tokens=24, temperature=0)
        alone = client.chat.completions.create(**options).choices[0].message.content

        async def all_of_them():
            async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0) as many:
                return await asyncio.gather(*[many.chat.completions.create(**options) for _ in range(16)])

        for answer in asyncio.run(all_of_them()):
            self.assertEqual(answer.choices[0].message.content, alone)


class Person(pydantic.BaseModel):
    name: Literal["Once", "two"]
    good: bool


class Structure(unittest.TestCase):
    def test_answers_are_parsed_into_a_model(self):
        for seed in range(4):
            answer = client.chat.completions.parse(model="tiny", messages=HELLO, response_format=Person, seed=seed)
            self.assertIsInstance(answer.choices[0].message.parsed, Person)
            self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_choices_and_patterns(self):
        ask = lambda **fields: client.chat.completions.create(model="tiny", messages=HELLO, extra_body=fields).choices[0].message.content
        self.assertIn(ask(guided_choice=["one", "two"]), ("one", "two"))
        self.assertRegex(ask(guided_regex="[ab]{3}"), r"\A[ab]{3}\Z")
        self.assertIn(ask(grammar='root ::= "a" | "b"'), ("a", "b"))

    def test_an_object(self):
        answer = client.chat.completions.create(model="tiny", messages=HELLO, response_format={"type": "json_object"}, max_tokens=200, seed=2, temperature=0.1)
        if answer.choices[0].finish_reason == "stop":
            self.assertIsInstance(json.loads(answer.choices[0].message.content), dict)
        else:
            self.assertTrue(answer.choices[0].message.content.startswith("{"))

    def test_what_is_refused(self):
        schema = {"type": "object", "not": {}}
        for format in ({"type": "xml"}, {"type": "json_schema"}, {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}},
                       {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}):
            with self.subTest(format), self.assertRaises(openai.BadRequestError) as caught:
                client.chat.completions.create(model="tiny", messages=HELLO, response_format=format)
            self.assertTrue(caught.exception.param.startswith("response_format"))


class Errors(unittest.TestCase):
    def refused(self, param, **fields):
        with self.assertRaises(openai.BadRequestError) as caught:
            client.chat.completions.create(**{"model": "tiny", "messages": HELLO, "max_tokens": 1, **fields})
        self.assertEqual(caught.exception.param, param)
        self.assertTrue(caught.exception.request_id)
        return caught.exception

    def test_the_field_is_named(self):
        self.refused("temperature", temperature=3)
        self.refused("temperature", temperature="hot")
        self.refused("top_p", top_p=1.5)
        self.refused("n", n=0)
        self.refused("n", n=1000000)
        self.refused("max_tokens", max_tokens=-1)
        self.refused("stop", stop=[""])
        self.refused("messages", messages=[])
        self.refused("messages[0].role", messages=[{"role": "king", "content": "x"}])
        self.refused("top_logprobs", top_logprobs=2)
        self.refused("logit_bias", logit_bias={"99999": 1})
        self.refused("stream_options", stream_options={"include_usage": True})
        self.refused("frequency_penalty", frequency_penalty=-3)

    def test_log_probabilities_of_prompts(self):
        for given, n_top in (({"prompt_logprobs": 1}, 1), ({"prompt_logprobs": True, "top_prompt_logprobs": 3}, 3), ({"prompt_logprobs": True}, 0)):
            answer = client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=1, extra_body=given)
            listed = answer.model_extra["prompt_logprobs"]
            self.assertEqual(len(listed), answer.usage.prompt_tokens)
            self.assertIsNone(listed[0])
            for entry in listed[1:]:
                self.assertIn(len(entry), (max(n_top, 1), n_top + 1))
        for given in ({"prompt_logprobs": 21}, {"prompt_logprobs": "x"}, {"prompt_logprobs": 1, "stream": True}):
            self.refused("prompt_logprobs", extra_body=given)
        self.refused("top_prompt_logprobs", extra_body={"top_prompt_logprobs": 1})

    def test_too_long_prompts_are_refused_with_both_numbers(self):
        error = self.refused(None, messages=[{"role": "user", "content": "a " * 5000}])
        self.assertEqual(error.code, "context_length_exceeded")
        self.assertEqual(error.body["n_ctx"], 2048)
        self.assertGreater(error.body["n_prompt_tokens"], 5000)

    def test_tools_are_refused(self):
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        self.assertEqual(self.refused("tools", tools=[tool]).code, "tools_not_supported")

    def test_unknown_models(self):
        with self.assertRaises(openai.NotFoundError):
            client.chat.completions.create(model="gpt-4", messages=HELLO)

    def test_keys(self):
        with Server("--api-key", "secret") as locked:
            with openai.OpenAI(base_url=locked.url + "/v1", api_key="wrong", max_retries=0) as wrong:
                with self.assertRaises(openai.AuthenticationError) as caught:
                    wrong.models.list()
                self.assertEqual(caught.exception.code, "invalid_api_key")
            with openai.OpenAI(base_url=locked.url + "/v1", api_key="secret", max_retries=0) as right:
                self.assertEqual(right.models.list().data[0].id, "tiny")

    def test_a_full_queue(self):
        with Server("--parallel", "1", "--max-waiting", "0") as small:
            with openai.OpenAI(base_url=small.url + "/v1", api_key="none", max_retries=0) as busy:
                stream = busy.chat.completions.create(model="tiny", messages=HELLO, stream=True, extra_body={"ignore_eos": True})
                with self.assertRaises(openai.RateLimitError) as caught:
                    busy.chat.completions.create(model="tiny", messages=HELLO)
                self.assertIn("retry-after", caught.exception.response.headers)
                stream.close()


class Completions(unittest.TestCase):
    def test_echo_with_log_probabilities(self):
        answer = client.completions.create(model="tiny", prompt="Once upon", max_tokens=2, echo=True, logprobs=2, temperature=0)
        choice = answer.choices[0]
        self.assertTrue(choice.text.startswith("Once upon"))
        logprobs = choice.logprobs
        self.assertIsNone(logprobs.token_logprobs[0])
        self.assertIsNone(logprobs.top_logprobs[0])
        self.assertEqual(len(logprobs.tokens), answer.usage.total_tokens)
        for arrays in (logprobs.token_logprobs, logprobs.top_logprobs, logprobs.text_offset):
            self.assertEqual(len(arrays), len(logprobs.tokens))
        for token, value, top in list(zip(logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs))[1:]:
            self.assertEqual(top[token], value)
            self.assertIn(len(top), (2, 3), top)

    def test_ids_are_taken_as_they_are(self):
        ids = [1, 300, 301, 302]
        answer = client.completions.create(model="tiny", prompt=[ids, ids], max_tokens=1, echo=True, logprobs=1, temperature=0)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1])
        for choice in answer.choices:
            self.assertEqual(len(choice.logprobs.tokens), len(ids) + 1)
            self.assertEqual(choice.logprobs.token_logprobs[-1], max(choice.logprobs.top_logprobs[-1].values()))
        self.assertEqual(answer.choices[0].logprobs, answer.choices[1].logprobs)

    def test_scoring_alone(self):
        answer = client.completions.create(model="tiny", prompt="Once upon", max_tokens=0, echo=True, logprobs=1)
        self.assertEqual(answer.choices[0].text, "Once upon")
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.completion_tokens, 0)

    def test_the_best_of_many(self):
        options = dict(model="tiny", prompt=["Once", "upon a"], max_tokens=6, seed=7, logprobs=0, temperature=1.5)
        everything = client.completions.create(**options, n=6)
        best = client.completions.create(**options, n=2, best_of=6)
        self.assertEqual([choice.index for choice in best.choices], [0, 1, 2, 3])
        self.assertEqual(best.usage.completion_tokens, everything.usage.completion_tokens)
        mean = lambda choice: sum(choice.logprobs.token_logprobs) / len(choice.logprobs.token_logprobs)
        for prompt in range(2):
            ranked = sorted(everything.choices[6 * prompt:6 * prompt + 6], key=mean, reverse=True)
            self.assertEqual([choice.text for choice in best.choices[2 * prompt:2 * prompt + 2]], [choice.text for choice in ranked[:2]])
        del options["logprobs"]
        self.assertEqual([c.text for c in client.completions.create(**options, n=2, best_of=6).choices], [c.text for c in best.choices])
        with self.assertRaises(openai.BadRequestError):
            client.completions.create(**options, best_of=2, stream=True)

    def test_log_probabilities_of_prompts(self):
        options = dict(model="tiny", prompt=["Once upon", "a time"], max_tokens=2, temperature=0)
        echoed = client.completions.create(**options, echo=True, logprobs=2)
        answer = client.completions.create(**options, n=2, extra_body={"prompt_logprobs": 2})
        self.assertEqual([choice.text for choice in answer.choices[::2]],
                         [client.completions.create(**{**options, "prompt": prompt}).choices[0].text for prompt in options["prompt"]])
        for i, choice in enumerate(answer.choices):
            listed, expected = choice.model_extra["prompt_logprobs"], echoed.choices[i // 2].logprobs.token_logprobs[:-2]
            self.assertEqual(len(listed), len(expected))
            self.assertIsNone(listed[0])
            for entry, value in zip(listed[1:], expected[1:]):
                self.assertIn(value, [one["logprob"] for one in entry.values()])
                self.assertEqual([one["rank"] for one in entry.values()][:2], [1, 2])
                self.assertIn(len(entry), (2, 3))

    def test_stream_is_the_whole_answer(self):
        options = dict(model="tiny", prompt="Once", max_tokens=20, temperature=0)
        text = "".join(chunk.choices[0].text for chunk in client.completions.create(**options, stream=True))
        self.assertEqual(text, client.completions.create(**options).choices[0].text)

    def test_more_prompts_than_run_at_once(self):
        answer = client.completions.create(model="tiny", prompt=["Once", "upon"] * 30, max_tokens=2, temperature=0)
        self.assertEqual([choice.index for choice in answer.choices], list(range(60)))
        self.assertEqual(len({choice.text for choice in answer.choices}), 2)

    def test_what_is_refused(self):
        for fields in ({"suffix": "x"}, {"best_of": 99}, {"best_of": 1, "n": 2}, {"prompt": []}, {"prompt": [[99999]]}, {"prompt": {"a": 1}}, {"logprobs": 99}):
            with self.subTest(fields), self.assertRaises(openai.BadRequestError) as caught:
                client.completions.create(**{"model": "tiny", "prompt": "x", "max_tokens": 1, **fields})
            self.assertEqual(caught.exception.param, next(iter(fields)))


class Embeddings(unittest.TestCase):
    def test_base64_and_floats_are_the_same(self):
        default = client.embeddings.create(model="tiny", input=["Hello", "Once upon"])
        floats = client.embeddings.create(model="tiny", input=["Hello", "Once upon"], encoding_format="float")
        for one, other in zip(default.data, floats.data):
            self.assertEqual(one.index, other.index)
            for a, b in zip(one.embedding, other.embedding):
                self.assertAlmostEqual(a, b, places=6)
        self.assertAlmostEqual(sum(x * x for x in default.data[0].embedding), 1, places=4)
        raw = server.post("/v1/embeddings", {"input": "Hello", "encoding_format": "base64"})[1]["data"][0]["embedding"]
        self.assertEqual(len(struct.unpack("<32f", base64.b64decode(raw))), 32)

    def test_fewer_dimensions(self):
        embedding = client.embeddings.create(model="tiny", input="Hello", dimensions=8).data[0].embedding
        self.assertEqual(len(embedding), 8)
        self.assertAlmostEqual(sum(x * x for x in embedding), 1, places=4)

    def test_what_is_refused(self):
        for fields in ({"input": ""}, {"input": []}, {"dimensions": 33}, {"encoding_format": "int"}):
            with self.subTest(fields), self.assertRaises(openai.BadRequestError):
                client.embeddings.create(**{"model": "tiny", "input": "Hello", "encoding_format": "float", **fields})


if __name__ == "__main__":
    unittest.main()
