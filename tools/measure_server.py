#!/usr/bin/env python3
"""Measures what docs/reliability.md says of the server: many connections, overload, clients that leave, wrong numbers,
too little memory, tenants, the end.

Usage: PROGRAM [MEASURE…] [-m MODEL]; without a model a tiny one with random weights is made. Takes two minutes.
"""

import argparse
import asyncio
import bisect
import concurrent.futures
import json
import math
import os
import pathlib
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/apps"))
import tiny_model  # noqa: E402
from memory_group import MemoryGroup  # noqa: E402

CHAT = {"messages": [{"role": "user", "content": "Hello"}], "ignore_eos": True}


class Server:
    def __init__(self, program, model, *arguments, preexec_fn=None):
        self.process = subprocess.Popen([program, "serve", "-m", model, "--port", "0", "-q", "--chat-template", "mistral", "--context", "2048", *arguments],
                                        stdout=subprocess.PIPE, text=True, preexec_fn=preexec_fn)
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


def probe(port, seconds, max_tokens, pause):
    """One request after another: (seconds to the first bytes of its answer, its status line) of each."""
    found, end = [], time.monotonic() + seconds
    data = request_bytes({**CHAT, "max_tokens": max_tokens})
    while time.monotonic() < end:
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(data)
            status_line = connection.recv(1000).split(b"\r\n", 1)[0]
            found.append((time.monotonic() - start, status_line))
        time.sleep(pause)
    return found


def refusals(port, seconds):
    """How long each 429 took that one client got in that time."""
    return [took for took, status_line in probe(port, seconds, 64, 0.02) if b" 429 " in status_line]


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


def first_bytes_of_answers(port, seconds):
    return [took for took, _ in probe(port, seconds, 1, 0.005)]


async def slow_headers(server):
    alone = first_bytes_of_answers(server.port, 4)
    connections = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2000)]
    start, ended = time.monotonic(), {}

    async def send_slowly(i, reader, writer):
        for byte in b"GET /health HTTP/1.1\r\n":
            writer.write(bytes([byte]))
            if await first_bytes(reader, 1):
                break
        ended[i] = time.monotonic() - start
        writer.close()

    async def first_bytes(reader, seconds):
        try:
            return await asyncio.wait_for(reader.read(100), seconds)
        except asyncio.TimeoutError:
            return b""

    with concurrent.futures.ProcessPoolExecutor(1) as other:  # not in this process, which is busy
        probe = asyncio.get_running_loop().run_in_executor(other, first_bytes_of_answers, server.port, 8)
        await asyncio.gather(*[send_slowly(i, *connection) for i, connection in enumerate(connections)])
        waits = await probe
    print(f"2000 clients of 1 byte a second: told to go after {min(ended.values()):.1f} to {max(ended.values()):.1f} s; "
          f"first byte of others meanwhile: {milliseconds(waits)}; alone: {milliseconds(alone)}")


async def too_few_pages(server):
    async def one(i):
        body = {"messages": [{"role": "user", "content": f"{i}"}], "ignore_eos": True, "max_tokens": 1500, "temperature": 0}
        status, _, _, answer = await ask(server, body)
        return status, json.loads(answer.split(b"\r\n\r\n", 1)[1]).get("choices")

    alone = [await one(i) for i in range(16)]
    start = time.monotonic()
    together = await asyncio.gather(*[one(i) for i in range(16)])
    seconds = time.monotonic() - start
    same = sum(a == b for a, b in zip(alone, together))
    print(f"16 answers of 1500 tokens in pages for {await metric(server, 'mixtral_cache_pages'):.0f} × 64 tokens: "
          f"{await metric(server, 'mixtral_preemptions_total'):.0f} preemptions, {same} of 16 the same as alone, {seconds:.1f} s")


async def end_under_load(server):
    tasks = [asyncio.create_task(ask(server, {**CHAT, "max_tokens": 400, "stream": True})) for _ in range(64)]
    while await metric(server, "mixtral_sequences_running") < 64:
        await asyncio.sleep(0.01)
    start = time.monotonic()
    server.process.terminate()
    while (await status_of(server, "/ready")) != 503:
        await asyncio.sleep(0.001)
    told = time.monotonic() - start
    answers = await asyncio.gather(*tasks)
    whole = sum(answer[3].endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n") for answer in answers)
    code = await asyncio.get_running_loop().run_in_executor(None, server.process.wait, 60)
    print(f"SIGTERM with 64 streams: /ready is 503 after {1e3 * told:.0f} ms, {whole} of 64 whole, exit code {code}")


async def end_at_once(server):
    tasks = [asyncio.create_task(ask(server, {**CHAT, "max_tokens": 1900})) for _ in range(64)]
    while await metric(server, "mixtral_sequences_running") < 64:
        await asyncio.sleep(0.01)
    server.process.terminate()
    await asyncio.sleep(0.1)
    start = time.monotonic()
    server.process.terminate()
    code = await asyncio.get_running_loop().run_in_executor(None, server.process.wait, 60)
    print(f"a second SIGTERM: exit code {code} after {1e3 * (time.monotonic() - start):.0f} ms")
    await asyncio.gather(*tasks, return_exceptions=True)


async def status_of(server, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET %s HTTP/1.1\r\nConnection: close\r\n\r\n" % path.encode())
    answer = await reader.read(100)
    writer.close()
    return int(answer.split(b" ", 2)[1])


async def salts(server):
    """Whether the time to the first token tells a tenant what another has asked: 500 prompts that another has in the cache and 500 that nobody has."""
    n_trials = 1000
    times, cached = await tenant_trials(server, n_trials, lambda i: f"second {i}")
    p = same_distribution(*times)
    print(f"{n_trials} prompts of another tenant with another salt: {sum(n > 0 for n in cached)} found in the cache; seen before: {milliseconds(times[1])}; "
          f"never seen: {milliseconds(times[0])}; Kolmogorov-Smirnov p = {p:.3f}: {'not ' if p > 0.001 else ''}told apart at p = 0.001")
    times, cached = await tenant_trials(server, 100, lambda i: "first")
    print(f"  with one salt for both, which the test must notice: {sum(n > 100 for n in cached)} of 100 found; p = {same_distribution(*times):.1e}")


async def tenant_trials(server, n_trials, salt_of):
    """([seconds of prompts never seen, of those that the tenant "first" has just had], cached tokens of each), in random order."""
    random_order = random.Random(n_trials)
    seen = [1] * (n_trials // 2) + [0] * (n_trials // 2)
    random_order.shuffle(seen)
    prompt = lambda: [1, *(random_order.randrange(3, 253) for _ in range(600))]
    times, cached = ([], []), []
    for i, is_seen in enumerate(seen):
        first, other = prompt(), prompt()
        # Either way a request comes before, so that the machine is equally warm.
        await ask(server, {"prompt": [first], "max_tokens": 1, "cache_salt": "first"}, "/v1/completions")
        body = {"prompt": [first if is_seen else other], "max_tokens": 1, "cache_salt": salt_of(i)}
        _, seconds, _, answer = await ask(server, body, "/v1/completions")
        times[is_seen].append(seconds)
        cached.append(json.loads(answer.split(b"\r\n\r\n", 1)[1])["usage"]["prompt_tokens_details"]["cached_tokens"])
    return times, cached


def same_distribution(a, b):
    """The p value of Kolmogorov's and Smirnov's test, by its limit for many samples."""
    a, b = sorted(a), sorted(b)
    distance = max(abs(bisect.bisect_right(a, x) / len(a) - bisect.bisect_right(b, x) / len(b)) for x in a + b)
    scaled = distance * math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    return max(0.0, min(1.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * scaled * scaled) for k in range(1, 101))))


def little_memory(program, model, seconds):
    """Long answers of ever new clients, in less memory than the program would like to have."""
    try:
        group = MemoryGroup(12 << 20)
    except OSError as error:
        return print(f"no cgroup to limit memory with: {error}")
    server = Server(program, model, "--kv-type", "f32", "--max-connections", "100", preexec_fn=group.enter)

    async def client(end, i):
        n = 0
        while time.monotonic() < end:
            body = {"messages": [{"role": "user", "content": f"{i} {n} " * 40}], "ignore_eos": True, "max_tokens": 1200}
            status, _, _, _ = await ask(server, body)
            if status not in (200, 429):
                sys.exit(f"a status {status}")
            n += status == 200
        return n

    async def load():
        end = time.monotonic() + seconds
        n_good = sum(await asyncio.gather(*[client(end, i) for i in range(16)]))
        print(f"{seconds:.0f} s in a cgroup of 12 MiB: pages for {64 * await metric(server, 'mixtral_cache_pages'):.0f} tokens, {n_good} answers of 1200 tokens, "
              f"{await metric(server, 'mixtral_preemptions_total'):.0f} preemptions, at most {(group.peak() or 0) / 2**20:.1f} MiB in use, {group.n_killed()} killed")

    asyncio.run(load())
    server.end()
    group.remove()


MEASURES = ((many_streams, ()), (idle_connections, ()), (slow_headers, ()), (overload, ()), (clients_that_leave, ()), (wrong_numbers, ()),
            (too_few_pages, ("--cache", "1", "--kv-type", "f32")), (salts, ()), (end_under_load, ()), (end_at_once, ()))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("names", nargs="*", metavar="MEASURE", help=f"some of {', '.join(measure.__name__ for measure, _ in MEASURES)}; little_memory; all without")
    parser.add_argument("-m", dest="model")
    parser.add_argument("--seconds", type=float, default=30, help="of little_memory, which comes last")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model
        if model is None:
            model = f"{folder}/tiny.gguf"
            tiny_model.write(model)
        for measure, arguments in MEASURES:
            if options.names and measure.__name__ not in options.names:
                continue
            server = Server(options.program, model, *arguments)
            asyncio.run(measure(server))
            if server.end() != 0 and measure is not end_at_once:
                sys.exit("the server did not end well")
        if not options.names or "little_memory" in options.names:
            little_memory(options.program, model, options.seconds)


if __name__ == "__main__":
    main()
