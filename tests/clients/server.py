"""A server with a small model for the tests of clients: `mixtral serve` as a child process.

The program's path is the first argument of the test; what follows goes to unittest.
"""

import atexit
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests/apps"))
import tiny_model  # noqa: E402

PROGRAM = os.path.abspath(sys.argv.pop(1))
WORK = pathlib.Path(tempfile.mkdtemp(prefix="mixtral-clients-"))
MODEL = str(WORK / "tiny.gguf")
tiny_model.write(MODEL)
atexit.register(shutil.rmtree, WORK, ignore_errors=True)


class Server:
    """Runs until close(), or the end of a with statement."""

    def __init__(self, *arguments, model=MODEL, context=2048, port=0, preexec_fn=None, **environment):
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "-m", model, "--port", str(port), "--context", str(context), "--chat-template", "mistral", "-q",
             *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=preexec_fn,
            env={**os.environ, **environment})
        line = self.process.stdout.readline()
        found = re.search(r"at (https?)://(127\.0\.0\.1):(\d+)", line)
        if not found:
            error = line + self.process.stderr.read()
            raise RuntimeError(f"the server did not start, and ended with {self.close()}: {error}")
        self.host, self.port = found.group(2), int(found.group(3))
        self.url = f"http://{self.host}:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def close(self):
        """Ends it and gives its exit code."""
        if self.process.poll() is None:
            self.signal()
        try:
            code = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def request(self, method, path, body=None, headers=None, timeout=60):
        """(status, headers, body) of a request by hand; `body` may be bytes or what is to be JSON."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
            given = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, data, {**given, **(headers or {})})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def post(self, path, body, **options):
        """(status, JSON) of a POST."""
        status, _, data = self.request("POST", path, body, **options)
        return status, json.loads(data)

    def get(self, path):
        status, _, data = self.request("GET", path)
        return status, json.loads(data)

    def metric(self, name):
        _, _, data = self.request("GET", "/metrics")
        found = re.search(rf"^{re.escape(name)} (\S+)$", data.decode(), re.MULTILINE)
        return float(found.group(1)) if found else None


def events(data):
    """The JSON of each event of a stream; the last must be [DONE]."""
    lines = [line[6:] for line in data.decode().split("\n") if line.startswith("data: ")]
    assert lines and lines[-1] == "[DONE]", lines[-1:]
    return [json.loads(line) for line in lines[:-1]]


def wait_until(condition, seconds=5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False
