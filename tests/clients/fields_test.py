#!/usr/bin/env python3
"""Fields of requests and options of `mixtral serve`, each by what it does to an answer.

Usage: PROGRAM [unittest arguments].
"""

import concurrent.futures
import json
import socket
import time
import unittest

from server import WORK, Server, events

import tiny_model

END = 2  # the id of </s>
HELLO = [{"role": "user", "content": "Hello"}]
FORMS = {  # in the published description, with what they require
    "/v1/chat/completions": ("ChatRequest", {"messages": HELLO}),
    "/v1/completions": ("CompletionRequest", {"prompt": "Once"}),
    "/v1/fim/completions": ("FimRequest", {"prompt": "Once"}),
    "/v1/embeddings": ("EmbeddingRequest", {"input": "Once"})}


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


def nulls_of(form):
    """Every field that requests of this form may have by the published description, as null."""
    schemas = server.get("/openapi.json")[1]["components"]["schemas"]
    of_all = schemas["AnswerFields"]["properties"] if "allOf" in schemas[form] else {}
    return dict.fromkeys({**of_all, **schemas[form]["properties"]})


class Fields(unittest.TestCase):
    def test_null_is_the_same_as_nothing(self):
        for path, (form, required) in FORMS.items():
            nulls = nulls_of(form)
            self.assertIn("model", nulls)
            for seed in "seed", "random_seed":
                given = {**required, seed: 5}
                answers = [server.post(path, {**before, **given}) for before in ({}, nulls)]
                self.assertEqual([status for status, _ in answers], [200, 200], answers[1])
                self.assertEqual(*(answer.get("choices") or answer["data"] for _, answer in answers))

    def test_the_newer_name_of_a_maximum_comes_before_the_older_one(self):
        for older, newer in ((8, 3), (3, 8)):
            answer = ask(max_tokens=older, max_completion_tokens=newer, ignore_eos=True)
            self.assertEqual(answer["usage"]["completion_tokens"], newer)


class Choice(unittest.TestCase):
    """Which tokens come."""

    def ids(self, **fields):
        [choice] = ask(logprobs=True, ignore_eos=True, **fields)["choices"]
        return [token["token_id"] for token in choice["logprobs"]["content"]]

    def top(self, **fields):
        [choice] = ask(logprobs=True, top_logprobs=5, max_tokens=1, **fields)["choices"]
        return choice["logprobs"]["content"][0]["top_logprobs"]

    def test_a_bias_of_minus_100_forbids_a_token(self):
        best, second = (token["token_id"] for token in self.top()[:2])
        self.assertEqual(self.ids()[0], best)
        without = self.ids(logit_bias={str(best): -100})
        self.assertEqual(without[0], second)
        self.assertNotIn(best, without)

    def test_a_bias_of_100_forces_a_token(self):
        [forced] = server.post("/tokenize", {"prompt": "Once", "add_special_tokens": False})[1]["tokens"]
        self.assertNotIn(forced, self.ids())
        for temperature in 0, 2:
            self.assertEqual(self.ids(logit_bias={str(forced): 100}, temperature=temperature, seed=1), [forced] * 8)
        self.assertEqual(self.top(logit_bias={str(forced): 100}), self.top())  # the model thinks what it thought

    def test_a_bias_is_for_a_token_that_there_is(self):
        last = len(tiny_model.vocabulary()) - 1
        ask(logit_bias={str(last): 1, "0": -100})
        no_ids = [{name: 1} for name in (str(last + 1), "-1", "Hello", "5 ", "1.5", "")]
        no_biases = [{"5": value} for value in (101, -101, "1", True, None)]
        for bias in [*no_ids, *no_biases, [5]]:
            with self.subTest(bias):
                status, body = server.post("/v1/chat/completions", {"messages": HELLO, "logit_bias": bias})
                self.assertEqual((status, body["param"]), (400, "logit_bias"))

    def test_a_top_k_of_0_or_minus_1_is_off(self):
        warm = {"temperature": 2, "seed": 3}
        self.assertEqual({content(**warm, top_k=k) for k in (0, -1)}, {content(**warm)})
        self.assertEqual(content(**warm, top_k=1), content())
        self.assertNotEqual(content(**warm), content())


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

    def test_images_and_other_parts_that_are_no_text_are_refused(self):
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        for part in (image, {**image, "image_url": "http://127.0.0.1/x.png"}, {**image, "text": "Hello"},
                     {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
                     {"type": "document_url", "document_url": "http://127.0.0.1/x.pdf"}):
            with self.subTest(part):
                messages = HELLO + [{"role": "user", "content": [{"type": "text", "text": "Hello"}, part]}]
                status, body = server.post("/v1/chat/completions", {"messages": messages})
                self.assertEqual((status, body["param"]), (400, "messages[1].content"))
                self.assertIn(f"content[1]: a part of type {part['type']}", body["message"])

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


class Keys(unittest.TestCase):
    def test_without_a_key_only_health_and_the_page_answer(self):
        with Server("--api-key", "secret") as locked:
            for method in ("GET", "POST", "PUT", "DELETE"):
                for path in ("/v1/models", "/v1/models/tiny", "/v1/chat/completions", "/v1/completions",
                             "/v1/fim/completions", "/v1/embeddings", "/v1/routing/x", "/tokenize", "/detokenize",
                             "/tokenizer_info", "/apply-template", "/metrics", "/version", "/nothing"):
                    body = "{}" if method == "POST" else None
                    self.assertEqual(locked.request(method, path, body)[0], 401, (method, path))
            for path in ("/health", "/ready", "/"):
                self.assertEqual(locked.request("GET", path)[0], 200, path)
            self.assertEqual(locked.request("GET", "/health?deep=1")[0], 401)
            self.assertEqual(locked.request("GET", "/health?deep=1", headers={"x-api-key": "secret"})[0], 200)
            self.assertEqual(locked.request("GET", "/v1/models", headers={"x-api-key": "secret"})[0], 200)

    def status(self, where, key, path="/v1/models"):
        """The same for both headers."""
        headers = {"Authorization": f"Bearer {key}"}, {"x-api-key": key}
        [status] = {where.request("GET", path, headers=one)[0] for one in headers}
        return status

    def test_a_file_has_a_key_on_each_line(self):
        file = WORK / "keys.txt"
        file.write_text("# Who may ask:\n\nfirst\n  second key \r\n\t\n#third\nlast")
        with Server("--api-key-file", str(file), "--api-key", "given") as locked:
            for key in ("first", "second key", "last", "given"):
                self.assertEqual(self.status(locked, key), 200, key)
            for key in ("", "#third", "third", "# Who may ask:", "second", "firs", "first2", "First", "last\tgiven"):
                self.assertEqual(self.status(locked, key), 401, key)
            self.assertEqual(locked.request("GET", "/v1/models")[1]["WWW-Authenticate"], "Bearer")

    def test_a_file_without_keys_is_no_reason_to_let_everybody_in(self):
        file = WORK / "no_keys.txt"
        file.write_text("# nobody\n\n")
        for path, why in ((file, "no keys"), (WORK / "missing.txt", "missing.txt")):
            with self.assertRaisesRegex(RuntimeError, f"ended with 2: mixtral: .*{why}"):
                Server("--api-key-file", str(path))

    def test_an_empty_key_is_nobodys(self):
        with self.assertRaisesRegex(RuntimeError, "ended with 2: mixtral: --api-key: a key is empty"):
            Server("--api-key", "good", "--api-key", "")

    def test_a_key_in_the_environment(self):
        with Server(MIXTRAL_API_KEY="secret") as locked:
            self.assertEqual([self.status(locked, key) for key in ("secret", "other")], [200, 401])
        with Server("--api-key", "other", MIXTRAL_API_KEY="secret") as locked:
            self.assertEqual([self.status(locked, key) for key in ("secret", "other")], [401, 200])

    def test_open_metrics_open_nothing_else(self):
        with Server("--api-key", "secret", "--open-metrics") as locked:
            self.assertEqual(locked.request("GET", "/metrics")[0], 200)
            for path in ("/metrics/x", "/version", "/v1/models"):
                self.assertEqual(locked.request("GET", path)[0], 401, path)
            self.assertEqual(locked.request("POST", "/metrics", "{}")[0], 401)

    def test_a_browser_asks_what_it_may_send_without_a_key(self):
        with Server("--api-key", "secret") as locked:
            origin = "http://localhost:3000"
            status, headers, _ = locked.request("OPTIONS", "/v1/chat/completions", headers={"Origin": origin})
            self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (204, origin))
            self.assertIn("Authorization", headers["Access-Control-Allow-Headers"])
            self.assertIn("POST", headers["Access-Control-Allow-Methods"])


class Options(unittest.TestCase):
    def test_strict_refuses_what_it_does_not_know_by_name(self):
        others = {"/tokenize": {"prompt": "x"}, "/detokenize": {"tokens": [5]}}
        wrong = {"tmeperature": 1}
        with Server("--strict") as strict:
            for path, body in {**others, **{path: body for path, (_, body) in FORMS.items()}}.items():
                self.assertEqual(strict.post(path, body)[0], 200, path)
                status, answer = strict.post(path, {**body, **wrong})
                self.assertEqual((status, answer["param"]), (400, "tmeperature"), path)
                self.assertEqual(server.post(path, {**body, **wrong})[0], 200, path)

    def test_strict_counts_the_tokens_of_what_it_would_answer_and_of_nothing_else(self):
        with Server("--strict") as strict:
            for path in "/v1/chat/completions/input_tokens", "/apply-template":
                body = {"messages": HELLO, "temperature": 0.5, "max_tokens": 3, "stream": True}
                self.assertEqual(strict.post(path, body)[0], 200, path)
                self.assertEqual(strict.post(path, {**body, "tmeperature": 1})[1]["param"], "tmeperature")

    def test_strict_knows_every_field_of_the_description(self):
        with Server("--strict") as strict:
            for path, (form, required) in FORMS.items():
                status, answer = strict.post(path, {**nulls_of(form), **required})
                self.assertEqual(status, 200, answer)

    def test_strict_takes_two_maximums_that_are_one(self):
        with Server("--strict") as strict:
            body = {"messages": HELLO, "max_tokens": 3, "max_completion_tokens": 4}
            status, answer = strict.post("/v1/chat/completions", body)
            self.assertEqual((status, answer["param"]), (400, "max_completion_tokens"))
            same = ask(where=strict, max_tokens=3, max_completion_tokens=3, ignore_eos=True)
            self.assertEqual(same["usage"]["completion_tokens"], 3)

    def test_no_page(self):
        pages = "/", "/main.js", "/page.css"
        with Server("--no-page") as bare:
            self.assertEqual([bare.request("GET", path)[0] for path in pages], [404] * 3)
            self.assertEqual(bare.get("/v1/models")[0], 200)
        self.assertEqual([server.request("GET", path)[0] for path in pages], [200] * 3)

    def test_whose_pages_may_use_the_server(self):
        def allowed(where, origin):
            return where.request("GET", "/v1/models", headers={"Origin": origin})[1].get("Access-Control-Allow-Origin")

        local, friend, other = "http://localhost:3000", "http://friend.example", "http://other.example"
        self.assertEqual([allowed(server, origin) for origin in (local, friend)], [local, None])
        with Server("--cors", friend, "--cors", "http://second.example") as some:
            self.assertEqual([allowed(some, origin) for origin in (local, friend, other)], [None, friend, None])
            self.assertEqual(allowed(some, "http://second.example"), "http://second.example")
        with Server("--cors", "*") as anyone:
            self.assertEqual(allowed(anyone, other), other)

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
