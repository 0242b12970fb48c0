#!/usr/bin/env python3
"""Fields of requests and options of `mixtral serve`, each by what it does to an answer.

Usage: PROGRAM [unittest arguments].
"""

import concurrent.futures
import json
import socket
import time
import unittest

from server import Server, events

END = 2  # the id of </s>
HELLO = [{"role": "user", "content": "Hello"}]


def setUpModule():
    global server
    server = Server()


def tearDownModule():
    if server.close() != 0:
        raise RuntimeError("the server did not end well")


def ask(path="/v1/chat/completions", where=None, **fields):
    body = {"temperature": 0, "max_tokens": 8, **fields}
    if path.endswith("chat/completions"):
        body.setdefault("messages", HELLO)
    status, answer = (where or server).post(path, body)
    assert status == 200, answer
    return answer


def content(**fields):
    return ask(**fields)["choices"][0]["message"]["content"]


class Ends(unittest.TestCase):
    def test_stop_tokens_end_an_answer_as_the_models_own_end_does(self):
        ids = [token["token_id"] for token in ask(logprobs=True)["choices"][0]["logprobs"]["content"]]
        choice = ask(stop_token_ids=[ids[3]])["choices"][0]
        self.assertEqual((choice["finish_reason"], choice["stop_reason"]), ("stop", ids[3]))
        self.assertTrue(content().startswith(choice["message"]["content"]))
        self.assertEqual(server.post("/v1/chat/completions", {"messages": HELLO, "stop_token_ids": [99999]})[1]["param"], "stop_token_ids")

    def test_what_would_show_more_than_is_shown_is_refused(self):
        for field in {"include_stop_str_in_output": True}, {"skip_special_tokens": False}:
            status, answer = server.post("/v1/chat/completions", {"messages": HELLO, **field})
            self.assertEqual((status, answer["error"]["param"]), (400, next(iter(field))))
        ask(include_stop_str_in_output=False, skip_special_tokens=True)
        options = {"stream": True, "stream_options": {"continuous_usage_stats": True}}
        self.assertEqual(server.post("/v1/chat/completions", {"messages": HELLO, **options})[0], 400)

    def test_an_end_before_min_tokens_does_not_count(self):
        forced = {"logit_bias": {str(END): 100}, "max_tokens": 20}
        self.assertEqual(ask(**forced)["usage"]["completion_tokens"], 1)
        self.assertEqual(ask(**forced, min_tokens=5)["usage"]["completion_tokens"], 6)
        self.assertEqual(ask(**forced, ignore_eos=True)["usage"]["completion_tokens"], 20)

    def test_an_end_has_a_log_probability_as_every_token(self):
        prompt = [1, 300, 301]
        for fields in {"echo": True, "logprobs": 1}, {"logprobs": 0}:
            logprobs = ask("/v1/completions", prompt=[prompt], logit_bias={str(END): 100}, max_tokens=1, **fields)["choices"][0]["logprobs"]
            self.assertEqual(len(logprobs["token_logprobs"]), 1 + (len(prompt) if "echo" in fields else 0))
            self.assertEqual(logprobs["tokens"][-1], "</s>")
            self.assertTrue(logprobs["top_logprobs"][-1])

    def test_whole_characters_of_many_tokens(self):
        text = "é🤗日"  # bytes, for this vocabulary
        fields = {"guided_choice": [text], "max_tokens": 40, "messages": HELLO, "logprobs": True}
        choice = ask(**fields)["choices"][0]
        self.assertEqual(choice["message"]["content"], text)
        self.assertEqual(b"".join(bytes(token["bytes"]) for token in choice["logprobs"]["content"]), text.encode())
        parts = events(server.request("POST", "/v1/chat/completions", {**fields, "stream": True})[2])
        texts = [part["choices"][0]["delta"]["content"] for part in parts]
        self.assertEqual([part for part in texts if part], list(text))

    def test_a_stop_text_over_several_tokens_is_held_back_from_a_stream(self):
        fields = {"guided_choice": ["🤗abcd"], "messages": HELLO, "max_tokens": 40, "stop": ["bc"], "stream": True}
        texts = [part["choices"][0]["delta"]["content"] for part in events(server.request("POST", "/v1/chat/completions", fields)[2])]
        self.assertEqual("".join(texts), "🤗a")


class Prompts(unittest.TestCase):
    def test_a_begun_answer_is_continued(self):
        begun = HELLO + [{"role": "assistant", "content": "Once"}]
        same = HELLO + [{"role": "assistant", "content": "Once", "prefix": True}]
        self.assertEqual(content(messages=same), "Once" + content(messages=begun, continue_final_message=True))
        self.assertEqual(content(messages=same), content(messages=begun, continue_final_message=True, echo=True))
        status, body = server.post("/v1/chat/completions", {"messages": begun, "continue_final_message": True, "add_generation_prompt": True})
        self.assertEqual((status, body["param"]), (400, "continue_final_message"))

    def test_what_a_dialogue_may_not_be(self):
        assistant, system = {"role": "assistant", "content": "Hi"}, {"role": "system", "content": "Be brief."}
        for messages in (HELLO + [assistant], HELLO + [assistant, system, *HELLO], HELLO + [{**assistant, "content": ""}, *HELLO], [assistant]):
            status, body = server.post("/v1/chat/completions", {"messages": messages})
            self.assertEqual(status, 400, messages)
            self.assertTrue(body["param"].startswith("messages"), body)

    def test_one_seed_under_two_names(self):
        warm = {"temperature": 1, "max_tokens": 12}
        self.assertEqual(content(**warm, seed=7), content(**warm, random_seed=7))
        self.assertEqual(content(**warm, seed=7), content(**warm, seed=7, random_seed=7))
        self.assertNotEqual(content(**warm, seed=-1), content(**warm, seed=-1))
        status, body = server.post("/v1/chat/completions", {"messages": HELLO, "seed": 1, "random_seed": 2})
        self.assertEqual((status, body["param"]), (400, "random_seed"))

    def test_pieces_of_tokens(self):
        answer = server.post("/tokenize", {"prompt": "Hello", "return_token_strs": True})[1]
        self.assertEqual(answer["token_strs"], ["<s>", "▁Hello"])


class Tenants(unittest.TestCase):
    def cached(self, where=None, headers=None, **fields):
        body = {"prompt": "one " * 100, "max_tokens": 1, **fields}
        return (where or server).post("/v1/completions", body, headers=headers)[1]["usage"]["prompt_tokens_details"]["cached_tokens"]

    def test_prompts_are_shared_with_the_same_salt_only(self):
        self.assertTrue(all(self.cached(cache_salt=salt) <= 1 for salt in ("a", "b", "")))  # BOS, perhaps
        self.assertTrue(all(self.cached(cache_salt=salt) > 50 for salt in ("a", "b", "")))

    def test_prompts_are_never_shared_between_keys(self):
        with Server("--api-key", "a", "--api-key", "b") as locked:
            keys = [{"Authorization": f"Bearer {key}"} for key in ("a", "b")]
            self.assertEqual([self.cached(locked, key, cache_salt="s") for key in keys], [0, 0])
            self.assertTrue(all(self.cached(locked, key, cache_salt="s") > 50 for key in keys))


class Options(unittest.TestCase):
    def test_paths_pages_names_and_sizes(self):
        with Server("--path-prefix", "/llm", "--cors", "http://friend.example", "--accept-any-model", "--max-body", "1", "--temperature", "0") as other:
            self.assertEqual(other.get("/llm/v1/models")[0], 200)
            self.assertEqual(ask("/llm/v1/chat/completions", other, messages=HELLO, model="gpt-4")["model"], "tiny")
            headers = other.request("GET", "/llm/v1/models", headers={"Origin": "http://friend.example"})[1]
            self.assertEqual(headers["Access-Control-Allow-Origin"], "http://friend.example")
            self.assertEqual(other.request("POST", "/llm/v1/completions", b" " * (2 << 20))[0], 413)
            body = {"messages": HELLO, "max_tokens": 12}
            texts = {other.post("/llm/v1/chat/completions", body)[1]["choices"][0]["message"]["content"] for _ in range(3)}
            self.assertEqual(len(texts), 1)  # greedy is what it does unasked

    def test_a_log_without_what_users_say(self):
        logged = Server("--log-format", "json")
        logged.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "secret"}], "max_tokens": 1}, headers={"x-request-id": "r1"})
        logged.get("/v1/models/secret")
        logged.signal()
        _, text = logged.process.communicate(timeout=10)
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        self.assertEqual({(line["route"], line["status"]) for line in lines}, {("/chat/completions", 200), ("/models/", 404)})
        self.assertIn("r1", [line["id"] for line in lines])
        self.assertNotIn("secret", text)


class Leaving(unittest.TestCase):
    """Whoever leaves, in the queue or while a prompt is read, is forgotten at once."""

    def begin(self, where, body):
        data = json.dumps(body).encode()
        connection = socket.create_connection((where.host, where.port))
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data))
        return connection

    def wait_for(self, where, name, value, seconds):
        end = time.monotonic() + seconds
        while where.metric(name) != value:
            self.assertLess(time.monotonic(), end, name)
            time.sleep(0.005)

    def test_in_the_queue(self):
        with Server("--parallel", "1", context=100000) as small:
            first = self.begin(small, {"prompt": "x", "max_tokens": 90000, "ignore_eos": True})
            self.wait_for(small, "mixtral_sequences_running", 1, 5)
            waiting = [self.begin(small, {"prompt": "x", "stream": bool(i % 2)}) for i in range(8)]
            self.wait_for(small, "mixtral_requests_waiting", 8, 5)
            for connection in waiting:
                connection.close()
            self.wait_for(small, "mixtral_requests_waiting", 0, 1)
            self.assertEqual(small.metric("mixtral_sequences_running"), 1)  # the first did not suffer
            first.close()
            self.wait_for(small, "mixtral_sequences_running", 0, 1)

    def test_while_the_prompt_is_read(self):
        with Server(context=200000) as long:
            reader = self.begin(long, {"prompt": [[5] * 150000], "max_tokens": 1})
            self.wait_for(long, "mixtral_sequences_running", 1, 5)
            reader.close()
            self.wait_for(long, "mixtral_sequences_running", 0, 2)
            self.assertEqual(long.metric("mixtral_generated_tokens_total"), 0)

    def test_in_the_middle_of_a_body(self):
        connection = socket.create_connection((server.host, server.port))
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        connection.close()
        self.assertEqual(content(), content())


class Company(unittest.TestCase):
    def test_priority_changes_the_order_and_no_answer(self):
        alone = content()
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            self.assertEqual(set(pool.map(lambda i: content(priority=i - 6), range(12))), {alone})


if __name__ == "__main__":
    unittest.main()
