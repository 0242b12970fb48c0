#!/usr/bin/env python3
"""Tools with `mixtral serve --tool-emulation`, through the official openai and mistralai clients, unmodified. The model
is small and random: it calls tools because the grammar leaves it no choice.

Usage: PROGRAM [unittest arguments].
"""

import json
import unittest

from server import Server

import openai
from mistralai.client import Mistral

ASK = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city", "strict": True,
    "parameters": {"type": "object", "additionalProperties": False, "required": ["city", "days"],
                   "properties": {"city": {"$ref": "#/$defs/city"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
                   "$defs": {"city": {"enum": ["Paris", "Rome"]}}}}}
NOW = {"type": "function", "function": {"name": "now"}}
NAMED = {"type": "function", "function": {"name": "get_weather"}}
DIALOGUE = ASK + [
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "abcdef012", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris", "days": 1}'}}]},
    {"role": "tool", "tool_call_id": "abcdef012", "content": "sunny"}]


def setUpModule():
    global server, client, mistral
    server = Server("--tool-emulation")
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    mistral = Mistral(api_key="none", server_url=server.url)


def tearDownModule():
    client.close()
    if server.close() != 0:
        raise RuntimeError("the server did not end well")


class Calls(unittest.TestCase):
    def good_call(self, call, names=("get_weather",)):
        self.assertRegex(call.id, r"^[a-zA-Z0-9]{9}$")
        self.assertEqual(call.type, "function")
        self.assertIn(call.function.name, names)
        self.assertIsInstance(call.function.arguments, str)
        arguments = json.loads(call.function.arguments)
        if call.function.name == "now":
            self.assertEqual(arguments, {})
        else:
            self.assertIn(arguments["city"], ("Paris", "Rome"))
            self.assertIn(arguments["days"], range(1, 8))

    def test_a_named_tool_is_called(self):
        for seed in range(4):
            answer = client.chat.completions.create(model="tiny", messages=ASK, tools=[NOW, WEATHER], tool_choice=NAMED, seed=seed,
                                                    logprobs=True)
            choice = answer.choices[0]
            self.assertEqual(choice.finish_reason, "tool_calls")
            self.assertIsNone(choice.message.content)
            self.assertEqual(len(choice.message.tool_calls), 1)
            self.good_call(choice.message.tool_calls[0])

    def test_some_tool_is_required(self):
        answer = client.chat.completions.create(model="tiny", messages=ASK, tools=[NOW, WEATHER], tool_choice="required", n=4, seed=1)
        for choice in answer.choices:
            self.assertEqual(choice.finish_reason, "tool_calls")
            for call in choice.message.tool_calls:
                self.good_call(call, ("now", "get_weather"))
        ids = [call.id for choice in answer.choices for call in choice.message.tool_calls]
        self.assertEqual(len(set(ids)), len(ids))

    def test_one_call_at_a_time(self):
        answer = client.chat.completions.create(model="tiny", messages=ASK, tools=[NOW], tool_choice="required", n=8,
                                                parallel_tool_calls=False)
        for choice in answer.choices:
            self.assertEqual(len(choice.message.tool_calls), 1)

    def test_streams_send_whole_calls(self):
        options = dict(model="tiny", messages=ASK, tools=[WEATHER, NOW], tool_choice="required", seed=3)
        whole = client.chat.completions.create(**options).choices[0].message.tool_calls
        chunks = [chunk.choices[0] for chunk in client.chat.completions.create(**options, stream=True)]
        deltas = [chunk.delta for chunk in chunks if chunk.delta.tool_calls]
        self.assertEqual(len(deltas), 1)
        for index, (call, expected) in enumerate(zip(deltas[0].tool_calls, whole, strict=True)):
            self.assertEqual(call.index, index)
            self.good_call(call, ("now", "get_weather"))
            self.assertEqual(call.function, type(call.function)(**expected.function.model_dump()))
        self.assertEqual("".join(chunk.delta.content or "" for chunk in chunks), "")
        self.assertEqual(chunks[-1].finish_reason, "tool_calls")

    def test_the_stream_helper_of_the_client(self):
        with client.chat.completions.stream(model="tiny", messages=ASK, tools=[WEATHER], tool_choice="required", seed=3) as stream:
            done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
            answer = stream.get_final_completion()
        self.assertGreaterEqual(len(done), 1)
        for call in answer.choices[0].message.tool_calls:
            self.good_call(call)

    def test_text_when_tools_may_be_called(self):
        options = dict(model="tiny", messages=ASK, tools=[WEATHER], seed=2, max_tokens=24)
        answer = client.chat.completions.create(**options).choices[0]
        self.assertIsNone(answer.message.tool_calls)
        self.assertEqual(answer.finish_reason, "length")
        text = "".join(chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**options, stream=True))
        self.assertEqual(text, answer.message.content)

    def test_calls_that_are_cut_off_are_text(self):
        options = dict(model="tiny", messages=ASK, tools=[WEATHER], tool_choice="required", seed=2, max_tokens=6)
        answer = client.chat.completions.create(**options).choices[0]
        self.assertEqual(answer.finish_reason, "length")
        self.assertTrue("[TOOL_CALLS]".startswith(answer.message.content[:12]), answer.message.content)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**options, stream=True))
        self.assertEqual(text, answer.message.content)

    def test_no_tool_may_be_called(self):
        plain = client.chat.completions.create(model="tiny", messages=ASK, max_tokens=4, seed=1)
        for options in (dict(tools=[WEATHER], tool_choice="none"), dict(tools=[])):
            answer = client.chat.completions.create(model="tiny", messages=ASK, max_tokens=4, seed=1, **options)
            self.assertEqual(answer.choices[0].message.content, plain.choices[0].message.content)
            self.assertEqual(answer.usage.prompt_tokens, plain.usage.prompt_tokens)

    def test_mistral(self):
        answer = mistral.chat.complete(model="tiny", messages=ASK, tools=[WEATHER], tool_choice="any", random_seed=1)
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        for call in answer.choices[0].message.tool_calls:
            self.good_call(call)
        calls, reason = [], None
        with mistral.chat.stream(model="tiny", messages=ASK, tools=[WEATHER], tool_choice="any", random_seed=1) as stream:
            for event in stream:
                calls += event.data.choices[0].delta.tool_calls or []
                reason = event.data.choices[0].finish_reason or reason
        self.assertEqual(reason, "tool_calls")
        self.assertEqual([call.function.arguments for call in calls],
                         [call.function.arguments for call in answer.choices[0].message.tool_calls])

    def test_results_go_back(self):
        first = mistral.chat.complete(model="tiny", messages=ASK, tools=[WEATHER], tool_choice="any", random_seed=1).choices[0].message
        messages = ASK + [first] + [{"role": "tool", "tool_call_id": call.id, "name": call.function.name, "content": "sunny"}
                                    for call in first.tool_calls]
        answer = mistral.chat.complete(model="tiny", messages=messages, tools=[WEATHER], max_tokens=4)
        self.assertEqual(answer.choices[0].message.role, "assistant")


class Prompts(unittest.TestCase):
    def prompt(self, **fields):
        status, body = server.post("/apply-template", fields)
        self.assertEqual(status, 200, body)
        return server.post("/detokenize", {"tokens": body["tokens"]})[1]["prompt"]

    def test_tools_are_described(self):
        text = self.prompt(messages=[{"role": "system", "content": "Be kind."}] + ASK, tools=[WEATHER])
        for words in ("Be kind.", "get_weather: The weather of a city", '"maximum":7', "[TOOL_CALLS] [{"):
            self.assertIn(words, text)
        self.assertLess(text.index("Be kind."), text.index("get_weather"))
        self.assertLess(text.index("get_weather"), text.index("What is the weather"))

    def test_calls_and_results_are_text(self):
        text = self.prompt(messages=DIALOGUE, tools=[WEATHER])
        self.assertIn('[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city":"Paris","days":1}}]', text)
        self.assertIn('Result of get_weather({"city":"Paris","days":1}):', text)
        self.assertTrue(text.rstrip().endswith("sunny [/INST]"), text)


class Refusals(unittest.TestCase):
    def refused(self, param, messages=ASK, **fields):
        status, body = server.post("/v1/chat/completions", {"messages": messages, "max_tokens": 1, **fields})
        self.assertEqual(status, 400, body)
        self.assertEqual(body["param"], param, body)
        return body

    def tool(self, **changes):
        return {"type": "function", "function": {**WEATHER["function"], **changes}}

    def test_the_field_is_named(self):
        self.refused("tools", tools={})
        self.refused("tools", tools=["f"])
        self.refused("tools[0].type", tools=[{"type": "custom", "custom": {"name": "f"}}])
        self.refused("tools[0].function", tools=[{"type": "function"}])
        self.refused("tools[0].function.name", tools=[self.tool(name="get weather")])
        self.refused("tools[0].function.name", tools=[self.tool(name=None)])
        self.refused("tools[1].function.parameters", tools=[NOW, self.tool(parameters={"type": "array"})])
        self.refused("tools[0].function.parameters", tools=[self.tool(parameters={"type": "object", "not": {}})])
        self.refused("tools[0].function.parameters", tools=[self.tool(parameters="{}")])
        self.refused("tools", tools=[NOW, NOW])
        self.refused("tools", tools=[self.tool(name=f"f{i}") for i in range(129)])
        self.refused("parallel_tool_calls", tools=[NOW], parallel_tool_calls=3)

    def test_choices(self):
        self.refused("tool_choice", tool_choice="required")
        self.refused("tool_choice", tools=[NOW], tool_choice="perhaps")
        self.refused("tool_choice", tools=[NOW], tool_choice=NAMED)
        self.refused("functions", functions=[NOW["function"]])
        self.refused("function_call", function_call={"name": "now"})
        self.refused("messages[1].role", messages=ASK + [{"role": "function", "name": "now", "content": "noon"}])
        self.refused("tool_choice.type", tools=[NOW], tool_choice={"type": "allowed_tools", "allowed_tools": {}})

    def test_what_does_not_go_together(self):
        self.refused("tools", tools=[NOW], response_format={"type": "json_object"})
        self.refused("tools", tools=[NOW], messages=ASK + [{"role": "assistant", "content": "It", "prefix": True}])

    def test_messages(self):
        call = {"id": "a", "function": {"name": "f", "arguments": "{}"}}
        with_call = lambda **changes: ASK + [{"role": "assistant", "tool_calls": [{**call, **changes}]}]
        where = "messages[1].tool_calls[0].function"
        self.refused(where, messages=with_call(function=None) + ASK)
        self.refused(where + ".name", messages=with_call(function={"name": ""}) + ASK)
        self.refused(where + ".arguments", messages=with_call(function={"name": "f", "arguments": "{"}) + ASK)
        self.refused(where + ".arguments", messages=with_call(function={"name": "f", "arguments": [1]}) + ASK)
        self.refused("messages[0].tool_calls", messages=[{"role": "user", "content": "x", "tool_calls": [call]}])
        self.refused("messages[2].tool_call_id", messages=with_call() + [{"role": "tool", "tool_call_id": "b", "content": "x"}])
        self.refused("messages[2].content", messages=with_call() + [{"role": "tool", "tool_call_id": "a"}])

    def test_without_the_option_all_of_it_is_refused(self):
        with Server() as plain:
            for fields, param in (({"tools": [NOW]}, "tools"), ({"functions": [NOW["function"]]}, "functions"), ({"messages": DIALOGUE}, "messages[1].tool_calls")):
                status, body = plain.post("/v1/chat/completions", {"messages": ASK, **fields})
                self.assertEqual((status, body["code"], body["param"]), (400, "tools_not_supported", param))
            status, _ = plain.post("/v1/chat/completions", {"messages": ASK, "tools": [NOW], "tool_choice": "none", "max_tokens": 1})
            self.assertEqual(status, 200)
            status, _ = plain.post("/v1/chat/completions", {"messages": ASK, "functions": [NOW["function"]], "function_call": "none", "max_tokens": 1})
            self.assertEqual(status, 200)


if __name__ == "__main__":
    unittest.main()
