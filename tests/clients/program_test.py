#!/usr/bin/env python3
"""The program around its server: configuration, `mixtral chat --server`, `mixtral load-test`, the published description.

Usage: PROGRAM [unittest arguments].
"""

import json
import os
import subprocess
import unittest

from server import MODEL, PROGRAM, WORK, Server


def setUpModule():
    global server
    server = Server()


def tearDownModule():
    server.close()


def run(*arguments, stdin="", **environment):
    return subprocess.run([PROGRAM, *arguments], input=stdin, capture_output=True, text=True, timeout=60, env={**os.environ, **environment})


class Configuration(unittest.TestCase):
    def setting(self, name, *arguments, **environment):
        result = run("serve", "--print-config", *arguments, **environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        [line] = [line for line in result.stdout.splitlines() if line.removeprefix("# ").startswith(f"{name} =")]
        return line

    def test_the_command_line_comes_before_the_file_and_the_environment(self):
        file = WORK / "options.toml"
        file.write_text("[serve]\nport = 9\nstrict = true\nalias = [\"a\", \"b\"]\n")
        self.assertEqual(self.setting("port"), "port = 8080")
        self.assertEqual(self.setting("port", MIXTRAL_PORT="7"), "port = 7")
        self.assertEqual(self.setting("port", "--config", str(file), MIXTRAL_PORT="7"), "port = 9")
        self.assertEqual(self.setting("port", "--config", str(file), "--port", "11"), "port = 11")
        self.assertEqual(self.setting("strict", "--config", str(file)), "strict = true")
        self.assertEqual(self.setting("alias", "--config", str(file)), 'alias = ["a", "b"]')

    def test_what_is_printed_can_be_read(self):
        first = run("serve", "--print-config", "--port", "9", "--alias", "x y", "--strict").stdout
        file = WORK / "printed.toml"
        file.write_text(first)
        self.assertEqual(run("serve", "--print-config", "--config", str(file)).stdout, first)

    def test_a_server_that_is_set_up_so(self):
        with Server("--id", "given") as named:
            self.assertEqual(named.get("/v1/models")[1]["data"][0]["id"], "given")

    def test_mistakes_are_refused(self):
        file = WORK / "wrong.toml"
        file.write_text("[serve]\nprot = 9\n")
        for arguments in (["--config", str(file)], ["--config", str(WORK / "none")], ["--port", "70000"], ["--tls-cert", "x"]):
            result = run("serve", "-m", MODEL, *arguments)
            self.assertEqual(result.returncode, 2, result.stderr)

    def test_a_port_in_use_is_named(self):
        result = run("serve", "-m", MODEL, "-q", "--port", str(server.port))
        self.assertEqual(result.returncode, 1)
        self.assertIn(str(server.port), result.stderr)


class RemoteChat(unittest.TestCase):
    def test_a_dialogue(self):
        result = run("chat", "--server", server.url, "--greedy", "-n", "8", stdin="Hello\n/reset\nHello\n")
        self.assertEqual(result.returncode, 0, result.stderr)
        first, second, rest = result.stdout.split("\n", 2)
        self.assertIn("8 tokens", result.stderr)

    def test_no_server(self):
        result = run("chat", "--server", "http://127.0.0.1:1", stdin="Hello\n")
        self.assertEqual(result.returncode, 1)
        self.assertIn("no server at 127.0.0.1", result.stderr)
        self.assertEqual(run("chat", "--server", "127.0.0.1").returncode, 2)


class LoadTest(unittest.TestCase):
    def test_synthetic_requests(self):
        result = run("load-test", "--url", server.url, "--concurrency", "8", "--requests", "24", "--prompt-tokens", "16", "-n", "8", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual(report["outcomes"], {"200": 24})
        self.assertEqual(report["tokens"], 24 * 8)
        self.assertGreater(report["first_token"]["p50"], 0)

    def test_recorded_requests(self):
        file = WORK / "requests.jsonl"
        file.write_text('{"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}\n{"prompt": "x", "max_tokens": 4}\n{"prompt": []}\n')
        result = run("load-test", "--url", server.url, "--file", str(file))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"200 +2\n400 +1\n")


class Version(unittest.TestCase):
    def test_server_and_program_say_the_same(self):
        self.assertEqual(run("--version").stdout, f"mixtral {server.get('/version')[1]['version']}\n")


class Description(unittest.TestCase):
    def test_the_openapi_document_names_what_there_is(self):
        status, document = server.get("/openapi.json")
        self.assertEqual(status, 200)
        for path, methods in document["paths"].items():
            for method in methods:
                status, _ = server.request(method.upper(), path.replace("{id}", "tiny"), {} if method == "post" else None)[:2]
                self.assertNotEqual(status, 405, path)
                self.assertTrue(status != 404 or path.startswith("/v1/routing"), path)


if __name__ == "__main__":
    unittest.main()
