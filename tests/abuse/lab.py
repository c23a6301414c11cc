"""What the scripts here share: sidepass as a process with its metrics and memory, raw HTTP calls, and a table of results."""

import asyncio
import contextlib
import http.client
import json
import pathlib
import re
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "smoke"))
from processes import Failure, Sidepass, free_port  # noqa: E402

__all__ = ["Failure", "Lab", "Table", "call", "eventually", "free_port"]


class Table:
    """Results, a line each, printed as they come; `.failed` counts the bad ones."""

    def __init__(self, title, *columns):
        self.failed = 0
        self._widths = [max(len(column), width) for column, width in zip(columns, (46, 34, 40), strict=False)]
        print(f"{title}\n{self._line(columns)}", flush=True)

    def _line(self, cells):
        return "  ".join(str(cell).ljust(width) for cell, width in zip(cells, self._widths, strict=False)).rstrip()

    def row(self, good, *cells):
        """Adds a line; `good` says whether it is as it should be."""
        self.failed += not good
        print(f"{self._line(cells)}  {'ok' if good else 'FAILED'}", flush=True)

    def exit_code(self):
        """0 when every line was good."""
        if self.failed:
            print(f"{self.failed} failed")
        return 1 if self.failed else 0


class Lab:
    """A running sidepass. `routes` is YAML below `routes:`; `{url}` in it is the stand-in's URL. Use as a context."""

    def __init__(self, binary, url, routes=None, proxy="", profile="", token_url=None, runner=(), cold=False):
        self.port, self.admin_port, self._cold = free_port(), free_port(), cold
        routes = routes or f'  api: {{ upstream: "{url}", profile: abuse }}\n'
        self._folder = tempfile.TemporaryDirectory()
        file = pathlib.Path(self._folder.name, "proxy.yaml")
        file.write_text(
            f"proxy:\n  listen: 127.0.0.1:{self.port}\n{proxy}"
            f'admin: {{ listen: "127.0.0.1:{self.admin_port}" }}\n'
            f"profiles:\n  abuse:\n    token_service_url: {token_url or url + '/token'}\n    client_id: abuse\n"
            f"    client_secret: {{ env: ABUSE_SECRET }}\n{profile}routes:\n{routes}",
            encoding="utf-8",
        )
        command = [*runner, binary, "run", "--config", str(file)]
        self.sidepass = Sidepass(command[0], *command[1:], ABUSE_SECRET="s3cret-abuse")

    def __enter__(self):
        self.sidepass.__enter__()
        try:
            eventually("the admin listener answers", self._lives, quiet=OSError)
        except Failure:
            self.__exit__()
            raise
        return self if self._cold else self.ready()

    def _lives(self):
        self.must_live()
        return self._admin("/livez")[0] == 200

    def __exit__(self, *_):
        self.sidepass.__exit__()
        self._folder.cleanup()

    def ready(self):
        """Waits until every required profile has a token."""
        eventually("sidepass is ready", lambda: self._admin("/readyz")[0] == 200, quiet=OSError)
        return self

    def _admin(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def status(self):
        """What /status says."""
        return json.loads(self._admin("/status")[1])

    def metrics(self):
        """All samples by name and labels."""
        lines = (line.rsplit(" ", 1) for line in self._admin("/metrics")[1].splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def metric(self, name):
        """The sum over all labels of a metric."""
        return sum(value for key, value in self.metrics().items() if key.split("{")[0] == name)

    @property
    def pid(self):
        """The process id."""
        return self.sidepass.process.pid

    def pss_kib(self):
        """Proportional set size."""
        text = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii")
        return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M)[1])

    def descriptors(self):
        """Open descriptors, as the kernel counts them."""
        return len(list(pathlib.Path(f"/proc/{self.pid}/fd").iterdir()))

    def threads(self):
        """Threads."""
        return len(list(pathlib.Path(f"/proc/{self.pid}/task").iterdir()))

    def cpu_seconds(self):
        """CPU time so far."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1].split(" ")
        return (int(fields[11]) + int(fields[12])) / 100

    def must_live(self):
        """Fails when it has ended, or when a thread of it panicked."""
        if self.sidepass.process.poll() is not None or "panicked" in self.sidepass.text():
            raise Failure(f"sidepass ended or panicked:\n{self.sidepass.text()[-4000:]}")


def eventually(what, holds, seconds=20, quiet=()):
    """Waits until it holds; returns how long that took."""
    start = time.monotonic()
    while True:
        try:
            if holds():
                return time.monotonic() - start
        except quiet:
            pass
        if time.monotonic() - start > seconds:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class Answer:
    """What came back: `status` 0 is nothing, `whole` says whether the body was complete."""

    def __init__(self, status=0, reason="", body=b"", whole=False, seconds=0.0):
        self.status, self.reason, self.body, self.whole, self.seconds = status, reason, body, whole, seconds

    def __str__(self):
        cut = "" if self.whole else " cut"
        return f"{self.status}{' ' + self.reason if self.reason else ''}{cut} after {self.seconds:.1f} s"


def head_of(port, method, path, fields=(), length=None):
    """The bytes of a request head."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *fields]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def read_answer(reader):
    """Reads one answer."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return Answer()
    status = int(head[9:12])
    reason = re.search(r"^x-sidepass-reason: (\S+)", head, re.M | re.I)
    answer = Answer(status, reason[1] if reason else "")
    length = re.search(r"^content-length: (\d+)", head, re.M | re.I)
    try:
        if length:
            while len(answer.body) < int(length[1]):
                part = await reader.read(65536)
                if not part:
                    return answer
                answer.body += part
        elif "chunked" in head.lower():
            while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
                answer.body += (await reader.readexactly(size + 2))[:-2]
            await reader.readuntil(b"\r\n")
        answer.whole = True
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    return answer


async def call(port, method="GET", path="/", fields=(), body=None, limit=30):
    """One request on a connection of its own."""
    start = time.monotonic()
    answer = Answer()
    writer = None
    try:
        async with asyncio.timeout(limit):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            length = None if body is None else len(body)
            writer.write(head_of(port, method, path, ("Connection: close", *fields), length) + (body or b""))
            answer = await read_answer(reader)
    except (OSError, TimeoutError):
        pass
    finally:
        if writer:
            writer.transport.abort()
    answer.seconds = time.monotonic() - start
    return answer
