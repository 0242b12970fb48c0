#!/usr/bin/env python3
"""Faults around `mixtral serve`: model files that change under it, too little memory, slow clients, the end.

Usage: PROGRAM [unittest arguments].
"""

import concurrent.futures
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import unittest

from server import MODEL, PROGRAM, WORK, Server, events, wait_until

from memory_group import MemoryGroup

CHAT = {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0, "ignore_eos": True}


def answer(server, **fields):
    status, body = server.post("/v1/chat/completions", {**CHAT, **fields})
    assert status == 200, body
    return body["choices"][0]["message"]["content"]


class Files(unittest.TestCase):
    def test_a_model_in_memory_does_not_need_its_file_any_more(self):
        path = WORK / "changing.gguf"
        shutil.copy(MODEL, path)
        with Server(model=str(path)) as server:
            before = answer(server, max_tokens=32)
            os.truncate(path, 4096)
            self.assertEqual(answer(server, max_tokens=32), before)
            path.unlink()
            self.assertEqual(answer(server, max_tokens=32), before)
            self.assertEqual(server.close(), 0)

    def packed(self, name):
        path = WORK / name
        subprocess.run([PROGRAM, "pack", "-m", MODEL, "-o", str(path), "-q"], check=True)
        return path

    def test_a_mapped_model_may_be_replaced_by_another(self):
        path = self.packed("replaced.packed")
        with Server(model=str(path)) as server:
            before = answer(server, max_tokens=32)
            other = WORK / "other.packed"
            other.write_bytes(b"something else")
            other.rename(path)
            self.assertEqual(answer(server, max_tokens=32), before)
            self.assertEqual(server.close(), 0)

    def test_a_mapped_model_that_is_cut_ends_the_server_with_a_word(self):
        path = self.packed("cut.packed")
        server = Server(model=str(path))
        answer(server, max_tokens=4)
        os.truncate(path, 4096)
        with self.assertRaises((http.client.HTTPException, OSError)):
            answer(server, max_tokens=4)
        self.assertEqual(server.process.wait(timeout=10), 1)
        self.assertRegex(server.process.stderr.read(), r"\Amixtral: .*\bcut\b.*\n\Z")
        server.close()


class LittleMemory(unittest.TestCase):
    def test_answers_that_had_to_wait_for_pages_are_the_same(self):
        with Server("--cache", "1", "--kv-type", "f32", "--parallel", "8") as server:  # 4096 positions
            prompts = ("one", "two", "Once upon", "Hello")

            def ask(prompt):
                return answer(server, messages=[{"role": "user", "content": prompt}], max_tokens=1500)

            alone = [ask(prompt) for prompt in prompts]
            self.assertEqual(server.metric("mixtral_preemptions_total"), 0)
            with concurrent.futures.ThreadPoolExecutor(len(prompts)) as pool:
                self.assertEqual(list(pool.map(ask, prompts)), alone)
            self.assertGreater(server.metric("mixtral_preemptions_total"), 0)


class MemoryLimit(unittest.TestCase):
    def try_with(self, n_bytes, *arguments):
        """Why a server does not start in a group of so much memory; None if it answers a crowd there."""
        try:
            group = MemoryGroup(n_bytes)
        except OSError as error:
            self.skipTest(f"no cgroup to limit memory with: {error}")
        try:
            with Server(*arguments, preexec_fn=group.enter) as server:
                with concurrent.futures.ThreadPoolExecutor(32) as pool:
                    answers = set(pool.map(lambda _: answer(server, max_tokens=200), range(32)))
                self.assertEqual(len(answers), 1)
                self.assertEqual(server.close(), 0)
            return None
        except RuntimeError as refused:
            return str(refused)
        finally:
            self.assertEqual(group.n_killed(), 0)
            group.remove()

    def test_a_server_starts_with_what_fits_or_says_why_not(self):
        self.assertIsNone(self.try_with(128 << 20))
        for mebibytes in 6, 8, 10, 12, 16, 32:
            error = self.try_with(mebibytes << 20, "--max-connections", "64", "--kv-type", "f32")
            self.assertRegex(error or "ended with 2: mixtral: the model needs", "ended with 2: mixtral: .*the model needs")
        self.assertRegex(self.try_with(64 << 20, "--cache", "256"), "ended with 2: mixtral: .*the model needs")


class Crash(unittest.TestCase):
    def test_the_next_server_takes_the_place_at_once(self):
        server = Server()
        before = answer(server, max_tokens=8)
        stream = socket.create_connection((server.host, server.port))
        body = b'{"prompt": "x", "max_tokens": 1900, "ignore_eos": true, "stream": true}'
        stream.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        self.assertIn(b"200 OK", stream.recv(1000))
        server.signal(signal.SIGSEGV)
        self.assertEqual(server.process.wait(timeout=10), -signal.SIGSEGV)  # what a service manager restarts it after
        with contextlib.suppress(ConnectionResetError):
            while stream.recv(65536):
                pass
        with Server(port=server.port) as again:
            self.assertEqual(again.port, server.port)
            self.assertEqual(answer(again, max_tokens=8), before)
        stream.close()
        server.close()


class SlowClients(unittest.TestCase):
    def test_a_byte_a_second_is_too_slow(self):
        with Server() as server:
            start = time.monotonic()
            slow = [socket.create_connection((server.host, server.port), timeout=30) for _ in range(20)]
            for byte in b"GET /health HTTP/1.1":
                try:
                    for connection in slow:
                        connection.sendall(bytes([byte]))
                except OSError:  # it was told so, and has gone
                    break
                answer(server, max_tokens=1)
                time.sleep(1)
            self.assertLess(time.monotonic() - start, 15)
            for connection in slow:
                self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 408 "))
                connection.close()


class End(unittest.TestCase):
    def begin(self, where, **fields):
        body = json.dumps({**CHAT, **fields}).encode()
        connection = socket.create_connection((where.host, where.port), timeout=30)
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)
        return connection

    def read_whole(self, connection):
        answer = b""
        while part := connection.recv(65536):
            answer += part
        connection.close()
        return answer

    def is_draining(self, where):
        try:
            return where.get("/ready")[0] == 503
        except OSError:  # a connection that had not asked yet when the others were closed
            return False

    def test_streams_finish_and_nothing_new_begins(self):
        where = Server(context=10000)
        # Read all the while: who does not counts as gone.
        reader = concurrent.futures.ThreadPoolExecutor(1)
        stream = self.begin(where, max_tokens=8000, stream=True)
        stream.recv(1000)
        answer = reader.submit(self.read_whole, stream)
        where.signal()
        self.assertTrue(wait_until(lambda: self.is_draining(where)))
        status, headers, _ = where.request("POST", "/v1/chat/completions", CHAT)
        self.assertEqual(status, 503)
        self.assertIn("Retry-After", headers)
        self.assertIn(b"data: [DONE]", answer.result())
        reader.shutdown()
        self.assertEqual(where.process.wait(timeout=10), 0)
        where.close()

    def test_answers_that_outlast_the_grace_are_cut_and_do_not_look_whole(self):
        where = Server("--grace", "0.5", context=200000)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            def ask(stream):
                return where.request("POST", "/v1/chat/completions", {**CHAT, "max_tokens": 190000, "stream": stream})

            whole, streamed = pool.submit(ask, False), pool.submit(ask, True)
            self.assertTrue(wait_until(lambda: where.metric("mixtral_sequences_running") == 2))
            start = time.monotonic()
            where.signal()
            self.assertEqual(where.process.wait(timeout=30), 1)
            self.assertGreater(time.monotonic() - start, 0.5)
            self.assertLess(time.monotonic() - start, 5)
            self.assertIsInstance(whole.exception(), http.client.RemoteDisconnected)
            self.assertIsInstance(streamed.exception(), http.client.IncompleteRead)
        self.assertEqual(where.process.stderr.read(), "mixtral: answers did not end in 0.5 seconds\n")
        where.close()

    def test_a_second_signal_does_not_wait(self):
        where = Server(context=100000)
        connection = self.begin(where, max_tokens=90000)
        time.sleep(0.2)
        where.signal()
        time.sleep(0.2)
        self.assertIsNone(where.process.poll())
        start = time.monotonic()
        where.signal(signal.SIGINT)
        self.assertEqual(where.process.wait(timeout=5), 1)
        self.assertLess(time.monotonic() - start, 1.5)
        connection.close()
        where.close()

    def test_under_load_answers_come_to_their_end(self):
        server = Server()
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            body = {**CHAT, "max_tokens": 600, "stream": True}
            answers = [pool.submit(server.request, "POST", "/v1/chat/completions", body) for _ in range(16)]
            while server.metric("mixtral_sequences_running") < 16:
                time.sleep(0.01)
            server.signal()
            texts = {"".join(event["choices"][0]["delta"].get("content", "") for event in events(one.result()[2])) for one in answers}
            self.assertEqual(len(texts), 1)
        self.assertEqual(server.process.wait(timeout=10), 0)
        server.close()


if __name__ == "__main__":
    unittest.main()
