#!/usr/bin/env python3
"""A token service and an API in one process of its own, whose answers misbehave as their path says.

    tests/abuse/stand_in.py ADDRESS,... PORT NAME     as a program, which takes any token

Paths of the API (everything else is a plain 200):
    /size/N           N bytes
    /wait/MS          answers after this time
    /stream/N/MS      N chunks, one every MS
    /stall/head       reads the request and never answers
    /stall/part       half an answer head, then nothing
    /stall/body       a tenth of the body, then nothing
    /deaf             stops reading after the head
    /cut/before       closes without an answer; /reset/before resets
    /cut/head         half an answer head, then closes; /reset/head resets
    /cut/body         a tenth of the body, then closes; /reset/body resets
    /name             the name that the stand-in was given
    /_executed        how often each X-Test-Id was executed (JSON)
"""

import asyncio
import collections
import contextlib
import itertools
import json
import multiprocessing
import resource
import socket
import struct
import sys

HALF_HEAD = b"HTTP/1.1 200 OK\r\nContent-Le"
TENTH = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 100


class _Api(asyncio.Protocol):
    numbers = itertools.count(1)
    tokens = {}
    executed = collections.Counter()
    lifetime = 3600
    name = "stand-in"
    check = True

    def connection_made(self, transport):
        self.transport, self.data, self.tasks, self.deaf = transport, bytearray(), set(), False

    def connection_lost(self, _):
        for task in self.tasks:
            task.cancel()

    def data_received(self, data):
        if self.deaf:
            return
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].decode("latin-1")
            line, *fields = head.split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
            method, path, _ = line.split(" ", 2)
            if path == "/deaf":
                self.deaf = True
                self.transport.pause_reading()
                return
            if headers.get("transfer-encoding", "").lower() == "chunked":
                length = self.data.find(b"0\r\n\r\n", end + 4)
                if length < 0:
                    return
                after = length + 5
            else:
                after = end + 4 + int(headers.get("content-length", 0))
                if len(self.data) < after:
                    return
            del self.data[:after]
            self.answer(method, path, headers)

    def answer(self, method, path, headers):
        if path == "/token":
            token = f"abuse-{next(self.numbers)}"
            self.tokens[f"Bearer {token}"] = True
            return self.json({"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime})
        if path == "/_executed":
            return self.json(self.executed)
        if self.check and headers.get("authorization") not in self.tokens and path != "/free":
            return self.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        if "x-test-id" in headers:
            self.executed[headers["x-test-id"]] += 1
        parts = path.strip("/").split("/")
        match parts:
            case ["size", size]:
                self.body(int(size))
            case ["wait", milliseconds]:
                self.later(self.waited(int(milliseconds)))
            case ["stream", count, milliseconds]:
                self.later(self.stream(int(count), int(milliseconds)))
            case ["name"]:
                self.json(self.name)
            case ["stall", where]:
                self.send({"head": b"", "part": HALF_HEAD, "body": TENTH}[where])
            case ["cut" | "reset", where]:
                self.send({"before": b"", "head": HALF_HEAD, "body": TENTH}[where])
                self.end(parts[0])
            case _:
                self.body(16)

    def end(self, how):
        if how == "reset":
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        else:
            self.transport.close()

    def later(self, work):
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def waited(self, milliseconds):
        await asyncio.sleep(milliseconds / 1000)
        self.body(16)

    async def stream(self, count, milliseconds):
        self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(count):
            self.send(b"4\r\ntick\r\n")
            await asyncio.sleep(milliseconds / 1000)
        self.send(b"0\r\n\r\n")

    def body(self, size):
        self.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)

    def json(self, value):
        text = json.dumps(value).encode()
        self.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text) + text)

    def send(self, data):
        if data and not self.transport.is_closing():
            self.transport.write(data)


def _serve(pipe, address, lifetime):
    soft_limit()
    _Api.lifetime = lifetime

    async def run():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Api, *address, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        await loop.run_in_executor(None, _until_closed, pipe)

    asyncio.run(run())


async def _alone(addresses, port, name):
    _Api.name, _Api.check = name, False
    await asyncio.get_running_loop().create_server(_Api, addresses.split(","), port)
    await asyncio.Event().wait()


def _until_closed(pipe):
    with contextlib.suppress(EOFError):
        pipe.recv()


def soft_limit():
    """As many descriptors as this process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class StandIn:
    """Use as a context; `.port` is where both are, the token service at /token."""

    def __init__(self, lifetime=3600, address=("127.0.0.1", 0)):
        self._arguments = (address, lifetime)

    def __enter__(self):
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=_serve, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()
        self.port = self._pipe.recv()
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.join()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    asyncio.run(_alone(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
