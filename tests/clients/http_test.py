#!/usr/bin/env python3
"""`mixtral serve` as sockets and curl see it: the protocol by hand, bad input, faults of clients.

Usage: PROGRAM [unittest arguments].
"""

import concurrent.futures
import json
import socket
import ssl
import subprocess
import time
import unittest

from scores import log_probabilities
from server import WORK, Server, events, wait_until

HELLO = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
POSTS = {"/chat/completions": HELLO, "/completions": {"prompt": "x"},
         "/fim/completions": {"prompt": "x", "max_tokens": 4}, "/chat/completions/input_tokens": HELLO,
         "/apply-template": HELLO, "/embeddings": {"input": "x"}, "/tokenize": {"prompt": "x"},
         "/detokenize": {"tokens": [5]}}


def setUpModule():
    global server
    server = Server()


def tearDownModule():
    if server.close() != 0:
        raise RuntimeError("the server did not end well")


def exchange(data, where=None, timeout=10):
    """What comes back for these bytes, until the server closes."""
    with socket.create_connection(((where or server).host, (where or server).port), timeout=timeout) as connection:
        connection.sendall(data)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


class Protocol(unittest.TestCase):
    def test_every_answer_has_a_request_id(self):
        _, headers, _ = server.request("GET", "/health")
        self.assertTrue(headers["x-request-id"].startswith("req-"))
        _, headers, _ = server.request("POST", "/v1/chat/completions", {"messages": []}, headers={"X-Request-Id": "mine-1"})
        self.assertEqual(headers["x-request-id"], "mine-1")
        self.assertIn(b"x-request-id", exchange(b"nonsense\r\n\r\n").lower())

    def test_pipelined_requests_are_answered_in_order(self):
        answer = exchange(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertEqual(answer.count(b"HTTP/1.1 "), 2)
        self.assertLess(answer.index(b"200 OK"), answer.index(b"404 Not Found"))

    def test_bodies_of_get_are_read_and_dropped(self):
        answer = exchange(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertEqual(answer.count(b"200 OK"), 2)

    def test_chunked_bodies_and_expect(self):
        body = json.dumps(HELLO).encode()
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7]) for i in range(0, len(body), 7)) + b"0\r\n\r\n"
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        with socket.create_connection((server.host, server.port), timeout=10) as connection:
            connection.sendall(head)
            self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 100 "))
            connection.sendall(chunks)
            answer = b""
            while part := connection.recv(65536):
                answer += part
        self.assertIn(b"200 OK", answer)

    def test_old_clients_are_told_the_end_by_the_end_of_the_connection(self):
        def ask(body, headers=b""):
            data = json.dumps(body).encode()
            head, _, answer = exchange(b"POST /v1/chat/completions HTTP/1.0\r\n%sContent-Length: %d\r\n\r\n%s" % (headers, len(data), data)).partition(b"\r\n\r\n")
            self.assertIn(b" 200 OK", head)
            self.assertNotIn(b"Transfer-Encoding", head)
            return head, answer

        options = {**HELLO, "temperature": 0}
        head, whole = ask(options)
        self.assertIn(b"Content-Length: %d\r\n" % len(whole), head)
        head, stream = ask({**options, "stream": True}, b"Connection: keep-alive\r\nExpect: 100-continue\r\n")
        self.assertIn(b"Connection: close", head)
        text = "".join(event["choices"][0]["delta"].get("content", "") for event in events(stream))
        self.assertEqual(text, json.loads(whole)["choices"][0]["message"]["content"])

    def test_head_and_options(self):
        status, headers, body = server.request("HEAD", "/v1/models")
        self.assertEqual((status, body), (200, b""))
        self.assertGreater(int(headers["Content-Length"]), 0)
        status, headers, _ = server.request("OPTIONS", "/v1/chat/completions", headers={"Origin": "http://localhost:3000", "Access-Control-Request-Headers": "x-stainless-os"})
        self.assertEqual(status, 204)
        self.assertEqual(headers["Access-Control-Allow-Origin"], "http://localhost:3000")
        self.assertEqual(headers["Access-Control-Allow-Headers"], "x-stainless-os")
        _, headers, _ = server.request("OPTIONS", "/v1/models", headers={"Origin": "http://evil.example"})
        self.assertNotIn("Access-Control-Allow-Origin", headers)

    def test_content_types(self):
        body = json.dumps(HELLO).encode()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        self.assertEqual(server.request("POST", "/v1/chat/completions", body, headers=form)[0], 200)
        self.assertEqual(server.request("POST", "/v1/chat/completions", body, headers={**form, "Origin": "http://evil.example"})[0], 415)
        self.assertEqual(server.request("POST", "/v1/chat/completions", body, headers={"Content-Type": "text/xml"})[0], 415)

    def test_routes(self):
        self.assertEqual(server.get("/models")[0], 200)
        self.assertEqual(server.get("/v1/models/")[0], 200)
        self.assertEqual(server.get("/v1/models/mistralai%2FMixtral-8x7B-v0.1")[1]["id"], "mistralai/Mixtral-8x7B-v0.1")
        self.assertEqual(server.get("/v1/models/mistralai/Mixtral-8x7B-v0.1")[1]["id"], "mistralai/Mixtral-8x7B-v0.1")
        self.assertEqual(server.get("/nothing")[0], 404)
        self.assertEqual(server.get("/v1/chat/completions")[0], 405)
        status, headers, _ = server.request("DELETE", "/v1/models/tiny")
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD, OPTIONS"))
        self.assertEqual(server.request("PUT", "/v1/completions", "{}")[1]["Allow"], "POST, OPTIONS")
        for path in ("/health", "/healthz", "/v1/health", "/ready", "/version", "/tokenizer_info"):
            self.assertEqual(server.get(path)[0], 200, path)

    def test_every_path_answers_without_v1_and_with_a_slash_at_the_end(self):
        routed = server.post("/v1/chat/completions", {**HELLO, "routing": True})[1]["id"]
        paths = {path.removeprefix("/v1"): methods for path, methods in server.get("/openapi.json")[1]["paths"].items()}
        self.assertEqual({path for path in paths if "post" in paths[path]}, set(POSTS))
        for path in paths:
            method, body = ("POST", POSTS[path]) if path in POSTS else ("GET", None)
            path = path.replace("{id}", routed if "routing" in path else "tiny")
            for variant in path, path + "/", "/v1" + path, "/v1" + path + "/":
                with self.subTest(variant):
                    self.assertEqual(server.request(method, variant, body)[0], 200)
            self.assertEqual(server.request(method, path + "//", body)[0], 404, path)

    def test_a_head_has_the_length_of_the_body_that_it_lacks(self):
        paths = "/", "/openapi.json", "/v1/models", "/models/tiny", "/health", "/ready", "/version", "/tokenizer_info"
        for path in paths:
            with self.subTest(path):
                _, _, body = server.request("GET", path)
                answer = exchange(b"HEAD %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
                head, _, rest = answer.partition(b"\r\n\r\n")
                self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
                self.assertIn(b"\r\nContent-Length: %d\r\n" % len(body), head + b"\r\n")
                self.assertEqual(rest, b"")

    def test_a_deep_health_check_makes_a_token(self):
        before = server.metric("mixtral_generated_tokens_total")
        self.assertEqual(server.get("/health?deep=0")[0], 200)
        self.assertEqual(server.metric("mixtral_generated_tokens_total"), before)
        self.assertEqual(server.get("/health?deep=1"), (200, {"object": "health", "status": "ok"}))
        self.assertEqual(server.metric("mixtral_generated_tokens_total"), before + 1)
        self.assertEqual(server.get("/health?deep=2")[1]["param"], "deep")


class Answers(unittest.TestCase):
    def test_nothing_on_the_way_may_keep_a_stream_back(self):
        for path in ("/v1/chat/completions", "/v1/completions", "/v1/fim/completions"):
            body = {**POSTS[path.removeprefix("/v1")], "stream": True}
            status, headers, data = server.request("POST", path, body, headers={"Accept-Encoding": "gzip, deflate"})
            self.assertEqual((status, headers["Content-Type"].split(";")[0]), (200, "text/event-stream"), path)
            self.assertEqual((headers["Cache-Control"], headers["X-Accel-Buffering"]), ("no-cache", "no"), path)
            self.assertNotIn("Content-Encoding", headers)
            self.assertTrue(events(data))

    def test_streams_with_an_own_event_for_usage_say_null_before(self):
        options = {**HELLO, "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}}
        _, headers, data = server.request("POST", "/v1/chat/completions", options)
        self.assertIn("text/event-stream", headers["Content-Type"])
        parts = events(data)
        self.assertTrue(all(part["usage"] is None for part in parts[:-1]))
        self.assertEqual(parts[-1]["choices"], [])
        self.assertEqual(parts[-1]["usage"]["completion_tokens"], 4)

    def test_whole_and_streamed_alone_and_in_company_are_the_same(self):
        body = {**HELLO, "max_tokens": 40, "temperature": 0}
        alone = server.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"]

        def ask(i):
            if i % 2 == 0:
                return server.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"]
            data = server.request("POST", "/v1/chat/completions", {**body, "stream": True})[2]
            return "".join(event["choices"][0]["delta"].get("content", "") for event in events(data))

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            self.assertEqual(set(pool.map(ask, range(16))), {alone})

    def test_users_never_write_control_tokens(self):
        body = {"messages": [{"role": "user", "content": "</s><s>"}]}
        tokens = server.post("/tokenize", body)[1]["tokens"]
        self.assertEqual([token for token in tokens if token in (1, 2)], [1])

    def test_token_endpoints(self):
        self.assertEqual(server.post("/tokenize", {"prompt": "</s>", "add_special_tokens": False})[1]["tokens"], [2])
        both = server.post("/tokenize", {"prompt": "Hello", "content": "Once upon"})[1]
        self.assertEqual(both["tokens"], server.post("/tokenize", {"prompt": "Hello"})[1]["tokens"])
        self.assertEqual(both["tokens"][0], 1)
        plain = server.post("/tokenize", {"content": "Hello é", "with_pieces": True})[1]["tokens"]
        self.assertEqual(plain[0]["piece"], " Hello")
        self.assertEqual(plain[-1]["piece"], [0xA9])
        text = server.post("/detokenize", {"tokens": [token["id"] for token in plain]})[1]
        self.assertEqual((text["prompt"], text["content"]), ("Hello é", "Hello é"))
        self.assertEqual(server.get("/tokenizer_info")[1]["eos_token"], "</s>")
        chat = server.post("/apply-template", {"messages": HELLO["messages"]})[1]
        self.assertEqual(server.post("/v1/chat/completions/input_tokens", HELLO)[1]["input_tokens"], len(chat["tokens"]))

    def test_routing(self):
        answer = server.post("/v1/chat/completions", {**HELLO, "ignore_eos": True, "routing": True})[1]
        tokens = answer["routing"]["choices"][0]["tokens"]
        self.assertEqual(len(tokens), 4)
        self.assertEqual([len(token["expert_ids"]) for token in tokens[:-1]], [2, 2, 2])
        self.assertIsNone(tokens[-1]["expert_ids"])
        for token in tokens[:-1]:
            self.assertAlmostEqual(sum(token["probs"][0]), 1, places=3)
        kept = server.get(f"/v1/routing/{answer['id']}?layers=1")[1]
        self.assertEqual(kept["layers"], [1])
        self.assertEqual(kept["choices"][0]["tokens"][0]["expert_ids"][0], tokens[0]["expert_ids"][1])
        for layers in "2", "0,", ",", "0,x", "-1", "99999999999999999999":
            self.assertEqual(server.get(f"/v1/routing/{answer['id']}?layers={layers}")[0], 400, layers)
        self.assertEqual(server.get("/v1/routing/none")[0], 404)

    def test_metrics(self):
        server.post("/v1/chat/completions", HELLO)
        text = server.request("GET", "/metrics")[2].decode()
        for name in ("mixtral_first_token_seconds_bucket", "mixtral_cache_pages ", 'mixtral_expert_tokens_total{layer="1",expert="3"}'):
            self.assertIn(name, text)
        for line in text.splitlines():
            self.assertTrue(line.startswith("#") or len(line.rsplit(" ", 1)) == 2, line)


class Scores(unittest.TestCase):
    def test_prompts_have_the_log_probabilities_that_the_logits_say(self):
        prompts = [[1, 300, 301, 302, 299, 300], [1] + list(range(259, 330)), [2, 270]]
        body = {"prompt": prompts, "max_tokens": 1, "logprobs": 1, "echo": True, "temperature": 0, "seed": 1234}  # as lm-evaluation-harness asks
        choices = server.post("/v1/completions", body)[1]["choices"]
        for prompt, choice in zip(prompts, choices):
            values = choice["logprobs"]["token_logprobs"]
            self.assertEqual(len(values), len(prompt) + 1)
            self.assertIsNone(values[0])
            for value, expected in zip(values[1:-1], log_probabilities(prompt)):
                self.assertAlmostEqual(value, expected, delta=1e-6)
            self.assertEqual(values[-1], max(choice["logprobs"]["top_logprobs"][-1].values()))
        self.assertEqual(choices, server.post("/v1/completions", body)[1]["choices"])  # with the prompts in the cache

    def test_a_hidden_bos_counts_and_is_not_shown(self):
        with Server("--completions-force-bos") as forced:
            body = {"prompt": [[300, 301, 302]], "max_tokens": 1, "logprobs": 0, "echo": True, "temperature": 0}
            values = forced.post("/v1/completions", body)[1]["choices"][0]["logprobs"]["token_logprobs"]
        self.assertEqual(len(values), 4)
        for value, expected in zip(values[1:3], log_probabilities([1, 300, 301, 302])[1:]):
            self.assertAlmostEqual(value, expected, delta=1e-6)

    def test_a_hidden_bos_is_for_those_prompts_that_lack_one(self):
        with Server("--completions-force-bos") as forced:
            body = {"prompt": [[1, 300, 301], [300, 301]], "max_tokens": 1, "logprobs": 0, "echo": True, "temperature": 0}
            shown, hidden = forced.post("/v1/completions", body)[1]["choices"]
        self.assertEqual((len(shown["logprobs"]["tokens"]), len(hidden["logprobs"]["tokens"])), (4, 3))
        self.assertEqual(shown["logprobs"]["token_logprobs"][2:], hidden["logprobs"]["token_logprobs"][1:])

    def test_offsets_count_control_tokens_that_the_text_names(self):
        for prompt in "<s>Hello there", "Hello there", "Hello there</s>":
            body = {"prompt": prompt, "max_tokens": 1, "logprobs": 0, "echo": True, "temperature": 0}
            choice = server.post("/v1/completions", body)[1]["choices"][0]
            logprobs = choice["logprobs"]
            self.assertTrue(choice["text"].startswith(prompt))
            for token, offset in zip(logprobs["tokens"][:-1], logprobs["text_offset"]):
                if token == "<s>" and not prompt.startswith("<s>"):
                    self.assertEqual(offset, 0)
                else:
                    self.assertTrue(choice["text"][offset:].startswith(token), (prompt, token, offset))


class BadInput(unittest.TestCase):
    def status_of(self, **fields):
        status, body = server.post("/v1/chat/completions", {**HELLO, **fields})
        return status, body["error"]["param"] if "error" in body else None

    def test_every_wrong_number_is_refused_by_name(self):
        numbers = ("temperature", "top_p", "min_p", "n", "max_tokens", "max_completion_tokens", "min_tokens", "top_logprobs", "frequency_penalty",
                   "presence_penalty", "repetition_penalty", "top_k")
        for name in numbers:
            for value in (-3, 2**63, 1e308, "x", [], {}, True):
                if (name, value) in (("max_tokens", 2**63), ("top_k", 2**63)):
                    continue
                with self.subTest(name=name, value=value):
                    self.assertEqual(self.status_of(**{name: value}), (400, name))

    def test_whole_numbers_may_have_a_point(self):
        self.assertEqual(server.post("/v1/chat/completions", {**HELLO, "max_tokens": 2.0})[1]["usage"]["completion_tokens"], 2)
        self.assertEqual(self.status_of(max_tokens=2.5), (400, "max_tokens"))

    def test_bodies_that_are_not_json(self):
        for body in (b"", b"{", b"[1]", b'{"a": 1, "a": 2}', b'{"messages": NaN}', b'{"seed": 1e999}', b'{"x": "\xff"}', b'{"x": "\\ud800"}', b"[" * 100000):
            with self.subTest(body[:20]):
                self.assertEqual(server.request("POST", "/v1/chat/completions", body, headers={"Content-Type": "application/json"})[0], 400)

    def test_long_words_take_no_time(self):
        start = time.monotonic()
        status, body = server.post("/v1/completions", {"prompt": "a" * (1 << 20)})
        self.assertEqual((status, body["code"]), (400, "context_length_exceeded"))
        self.assertLess(time.monotonic() - start, 3)

    def test_large_bodies(self):
        self.assertEqual(server.request("POST", "/v1/chat/completions", b" " * (33 << 20))[0], 413)

    def test_bodies_of_very_many_values_are_refused_at_once(self):
        start = time.monotonic()
        self.assertEqual(server.request("POST", "/v1/completions", b'{"prompt": [' + b"0," * 3_000_000 + b"0]}")[0], 413)
        self.assertLess(time.monotonic() - start, 0.5)

    def test_what_smugglers_send(self):
        both = b"POST /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        twice = b"POST /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"
        negative = b"POST /v1/models HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n"
        for data in (both, twice, negative):
            with self.subTest(data):
                self.assertTrue(exchange(data).startswith(b"HTTP/1.1 400 "))

    def test_too_many_headers(self):
        self.assertTrue(exchange(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100000 + b"\r\n").startswith(b"HTTP/1.1 431 "))


class Clients(unittest.TestCase):
    def idle(self):
        return server.metric("mixtral_sequences_running") == 0 and server.metric("mixtral_requests_waiting") == 0

    def test_who_leaves_frees_everything(self):
        self.assertTrue(wait_until(self.idle))
        used = server.metric("mixtral_cache_pages_used") - server.metric("mixtral_cache_pages_kept")
        for stream in (True, False):
            body = json.dumps({**HELLO, "max_tokens": 1900, "ignore_eos": True, "stream": stream}).encode()
            connections = []
            for _ in range(20):
                connection = socket.create_connection((server.host, server.port))
                connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                connections.append(connection)
            time.sleep(0.1)
            for connection in connections:
                connection.close()
            self.assertTrue(wait_until(self.idle))
        self.assertEqual(server.metric("mixtral_cache_pages_used") - server.metric("mixtral_cache_pages_kept"), used)

    def test_who_never_reads_is_cut_off(self):
        body = json.dumps({**HELLO, "max_tokens": 1900, "ignore_eos": True, "stream": True, "logprobs": True, "top_logprobs": 20}).encode()
        before = server.metric("mixtral_client_disconnects_total")
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((server.host, server.port))
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        self.assertTrue(wait_until(lambda: server.metric("mixtral_client_disconnects_total") > before, 30))
        self.assertTrue(wait_until(self.idle))
        connection.close()

    def test_slow_requests_are_given_up_and_disturb_nobody(self):
        slow = [socket.create_connection((server.host, server.port)) for _ in range(200)]
        for connection in slow:
            connection.sendall(b"GET /health HT")
        start = time.monotonic()
        self.assertEqual(server.post("/v1/chat/completions", HELLO)[0], 200)
        self.assertLess(time.monotonic() - start, 5)
        for connection in slow:
            connection.close()

    def test_idle_connections_are_closed(self):
        with Server("--idle", "0.2") as brief:
            start = time.monotonic()
            self.assertEqual(exchange(b"", brief), b"")
            self.assertLess(time.monotonic() - start, 3)


class Overload(unittest.TestCase):
    def test_who_finds_the_queue_full_is_told_at_once(self):
        with Server("--parallel", "2", "--max-waiting", "4") as small:
            status, answer = small.post("/v1/chat/completions", {**HELLO, "n": 3})
            self.assertEqual((status, answer["param"]), (400, "n"))
            def ask(_):
                start = time.monotonic()
                status, headers, _ = small.request("POST", "/v1/chat/completions", {**HELLO, "max_tokens": 200, "ignore_eos": True})
                return status, headers, time.monotonic() - start

            with concurrent.futures.ThreadPoolExecutor(60) as pool:
                answers = list(pool.map(ask, range(60)))
            self.assertEqual({status for status, _, _ in answers}, {200, 429})
            for status, headers, _ in answers:
                if status == 429:
                    self.assertIn("Retry-After", headers)
            self.assertEqual(small.close(), 0)


    def test_one_client_cannot_take_all_places(self):
        with Server("--max-per-client", "1", "--api-key", "a", "--api-key", "b") as shared:
            body = json.dumps({**HELLO, "max_tokens": 1900, "ignore_eos": True, "stream": True}).encode()
            with socket.create_connection((shared.host, shared.port)) as connection:
                connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nx-api-key: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                self.assertIn(b"200 OK", connection.recv(1000))
                status, answer = shared.post("/v1/chat/completions", HELLO, headers={"x-api-key": "a"})
                self.assertEqual((status, answer["code"]), (429, "too_many_requests"))
                self.assertEqual(shared.post("/v1/chat/completions", HELLO, headers={"x-api-key": "b"})[0], 200)
            self.assertTrue(wait_until(lambda: shared.post("/v1/chat/completions", HELLO, headers={"x-api-key": "a"})[0] == 200))


class Addresses(unittest.TestCase):
    def test_a_name_is_every_address_that_it_stands_for(self):
        with Server("--host", "localhost") as named:
            known = {info[4][0] for info in socket.getaddrinfo("localhost", named.port, type=socket.SOCK_STREAM)}
            self.assertIn("127.0.0.1", known)
            for address in known:
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                with socket.socket(family) as probe:
                    try:
                        probe.bind((address, 0))
                    except OSError:  # a name for what this machine does not have
                        continue
                socket.create_connection((address, named.port), timeout=5).close()

    def test_several_at_once(self):
        path = str(WORK / "socket")
        with Server("--host", "127.0.0.1", "--host", "127.0.0.2", "--unix", path) as many:
            lines = [many.process.stdout.readline() for _ in range(2)]
            self.assertIn("http://127.0.0.2:", lines[0])
            self.assertIn(f"unix:{path}", lines[1])
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(path)
                connection.sendall(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
                self.assertIn(b"200 OK", connection.recv(1000))
        self.assertFalse((WORK / "socket").exists())

    def test_tls(self):
        certificate, key = str(WORK / "certificate.pem"), str(WORK / "key.pem")
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
                               "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"], capture_output=True)
        if made.returncode != 0:
            self.skipTest("no openssl to make a certificate")
        with Server("--tls-cert", certificate, "--tls-key", key) as secure:
            context = ssl.create_default_context(cafile=certificate)
            data = json.dumps({**HELLO, "stream": True}).encode()
            with socket.create_connection((secure.host, secure.port)) as plain:
                with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                    connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data))
                    answer = b""
                    while part := connection.recv(65536):
                        answer += part
            self.assertIn(b"data: [DONE]", answer)


if __name__ == "__main__":
    unittest.main()
