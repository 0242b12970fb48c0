#!/usr/bin/env python3
"""Measures what docs/reliability.md says of the server: many connections, overload, clients that leave, wrong numbers.

Usage: PROGRAM [-m MODEL]; without a model a tiny one with random weights is made. Takes a minute.
"""

import argparse
import asyncio
import concurrent.futures
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/apps"))
import tiny_model  # noqa: E402

CHAT = {"messages": [{"role": "user", "content": "Hello"}], "ignore_eos": True}


class Server:
    def __init__(self, program, model, *arguments):
        self.process = subprocess.Popen([program, "serve", "-m", model, "--port", "0", "-q", "--chat-template", "mistral", "--context", "2048", *arguments],
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(re.search(r":(\d+)$", self.process.stdout.readline().strip()).group(1))

    def memory(self):
        """Resident bytes."""
        return int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4096

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def end(self):
        self.process.terminate()
        return self.process.wait(timeout=60)


def request_bytes(body, path="/v1/chat/completions"):
    data = json.dumps(body).encode()
    return b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(data), data)


async def ask(server, body, path="/v1/chat/completions"):
    """(status, seconds to the first byte, seconds to the end, bytes)."""
    data = request_bytes(body, path)
    start = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    answer = await reader.read(65536)
    first = time.monotonic() - start
    while part := await reader.read(65536):
        answer += part
    writer.close()
    return int(answer.split(b" ", 2)[1]), first, time.monotonic() - start, answer


async def metric(server, name):
    _, writer = reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n")
    text = (await reader.read(-1)).decode()
    writer.close()
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE).group(1))


async def until_idle(server):
    for _ in range(1000):
        if await metric(server, "mixtral_sequences_running") == 0 and await metric(server, "mixtral_requests_waiting") == 0:
            return
        await asyncio.sleep(0.01)
    raise RuntimeError("the server does not come to rest")


def milliseconds(values):
    values = sorted(values)
    return f"p50 {1e3 * statistics.median(values):.1f}, p99 {1e3 * values[int(0.99 * (len(values) - 1))]:.1f}, max {1e3 * values[-1]:.1f} ms"


async def many_streams(server):
    idle_memory, idle_descriptors = server.memory(), server.descriptors()
    start = time.monotonic()
    tasks = [asyncio.create_task(ask(server, {**CHAT, "max_tokens": 32, "stream": True})) for _ in range(1000)]
    await asyncio.sleep(0.5)
    peak = server.memory()
    answers = await asyncio.gather(*tasks)
    seconds = time.monotonic() - start
    statuses = {status: sum(1 for answer in answers if answer[0] == status) for status in {answer[0] for answer in answers}}
    whole = all(answer[3].endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n") for answer in answers if answer[0] == 200)
    print(f"1000 streams at once: statuses {statuses}, every 200 whole: {whole}, {seconds:.1f} s")
    print(f"  memory: {(peak - idle_memory) / 1000 / 1024:.1f} KiB a connection; descriptors before {idle_descriptors}, after {server.descriptors()}")


async def idle_connections(server):
    before = server.memory()
    connections = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2000)]
    await asyncio.sleep(0.3)
    memory = (server.memory() - before) / 2000 / 1024
    waits = [(await ask(server, {**CHAT, "max_tokens": 1}))[1] for _ in range(50)]
    for _, writer in connections:
        writer.close()
    print(f"2000 idle connections: {memory:.1f} KiB each; first byte of others meanwhile: {milliseconds(waits)}")


async def overload(server):
    goodput = await one_load(server, 16, 8)
    good = n_refused = 0

    async def client(i, end):
        nonlocal good, n_refused
        await asyncio.sleep(i / 960)
        while time.monotonic() < end:
            status, _, whole, _ = await ask(server, {**CHAT, "max_tokens": 64})
            if status == 200:
                good += 1
            else:
                n_refused += 1
                await asyncio.sleep(1)  # as Retry-After says

    # This process is busy with so many clients: what one of them sees is measured in another.
    with concurrent.futures.ProcessPoolExecutor(1) as other:
        start = time.monotonic()
        probe = asyncio.get_running_loop().run_in_executor(other, refusals, server.port, 6)
        await asyncio.gather(*[client(i, start + 8) for i in range(960)])
        seconds = time.monotonic() - start
        times = await probe
    print(f"960 clients for 96 places, {n_refused} refusals: 429 after {milliseconds(times)}")
    print(f"  answers/s {good / seconds:.1f}, with 16 clients {goodput:.1f}")


def refusals(port, seconds):
    """How long each 429 took that one client got in that time."""
    times, end = [], time.monotonic() + seconds
    data = request_bytes({**CHAT, "max_tokens": 64})
    while time.monotonic() < end:
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(data)
            if b" 429 " in connection.recv(1000).split(b"\r\n", 1)[0]:
                times.append(time.monotonic() - start)
        time.sleep(0.02)
    return times


async def one_load(server, n_clients, seconds):
    good = 0

    async def client(end):
        nonlocal good
        while time.monotonic() < end:
            status, _, _, _ = await ask(server, {**CHAT, "max_tokens": 64})
            good += status == 200

    start = time.monotonic()
    await asyncio.gather(*[client(start + seconds) for _ in range(n_clients)])
    return good / (time.monotonic() - start)


async def clients_that_leave(server):
    await until_idle(server)
    used = await metric(server, "mixtral_cache_pages_used") - await metric(server, "mixtral_cache_pages_kept")
    fixed = {**CHAT, "max_tokens": 200, "temperature": 0}
    expected = json.loads((await ask(server, fixed))[3].split(b"\r\n\r\n", 1)[1])["choices"]
    n_same = n_asked = 0

    async def leave(i):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request_bytes({**CHAT, "max_tokens": 1500, "stream": i % 2 == 0}))
        await asyncio.sleep(0.02 * (i % 10))
        writer.transport.abort()

    async def stay():
        nonlocal n_same, n_asked
        for _ in range(20):
            status, _, _, answer = await ask(server, fixed)
            if status == 200:
                n_asked += 1
                n_same += json.loads(answer.split(b"\r\n\r\n", 1)[1])["choices"] == expected

    async def all_leave():
        for begin in range(0, 1000, 50):
            await asyncio.gather(*[leave(i) for i in range(begin, begin + 50)])

    await asyncio.gather(all_leave(), stay())
    start = time.monotonic()
    await until_idle(server)
    seconds = time.monotonic() - start
    left = await metric(server, "mixtral_cache_pages_used") - await metric(server, "mixtral_cache_pages_kept") - used
    print(f"1000 clients that leave: at rest {1e3 * seconds:.0f} ms after the last, {left:.0f} pages lost; answers of others the same: {n_same} of {n_asked}")


async def wrong_numbers(server):
    fields = ("temperature", "top_p", "min_p", "n", "max_tokens", "min_tokens", "top_logprobs", "frequency_penalty", "presence_penalty",
              "repetition_penalty", "top_k", "seed", "stop", "stream", "logit_bias", "messages", "model")
    values = (-1, 0, 10**6, 2**31, 2**63, 1e308, "x", None, [0] * 3_000_000)
    times, unexpected = [], []
    before = await metric(server, "mixtral_requests_accepted_total")
    n_good = 0
    for field in fields:
        for value in values:
            status, _, seconds, answer = await ask(server, {**CHAT, "max_tokens": 1, **{field: value}})
            if isinstance(value, list):
                times.append(seconds)
            n_good += status == 200
            body = json.loads(answer.split(b"\r\n\r\n", 1)[1])
            if status not in (200, 400, 404, 413) or (status == 400 and not body["param"]):
                unexpected.append((field, str(value)[:20], status))
    accepted = await metric(server, "mixtral_requests_accepted_total") - before
    print(f"{len(fields) * len(values)} wrong or odd values: {n_good} fit and were answered, {accepted:.0f} reached the engine; unexpected: {unexpected}")
    print(f"  bodies of 9 MB refused after {milliseconds(times)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("-m", dest="model")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model
        if model is None:
            model = f"{folder}/tiny.gguf"
            tiny_model.write(model)
        for measure in (many_streams, idle_connections, overload, clients_that_leave, wrong_numbers):
            server = Server(options.program, model)
            asyncio.run(measure(server))
            if server.end() != 0:
                sys.exit("the server did not end well")


if __name__ == "__main__":
    main()
