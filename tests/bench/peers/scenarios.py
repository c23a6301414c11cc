"""The scenarios: which load, which shape of the proxy, and what is looked at besides CPU, speed and memory."""

import contextlib
import dataclasses
import socket
from collections.abc import Callable

from lab import LOAD_CORE, PROXY_CORE, Failure
from load import HEADERS, UPLOAD, h2load, wrk
from session import PREFIX
from setup import Setup

RATE = 4000
IDLE = 1000


@dataclasses.dataclass(frozen=True)
class Scenario:
    """`drive(bench, session, seconds, headers)` makes the load; a variant is a row of its own for each target."""

    title: str
    drive: Callable
    variants: dict = dataclasses.field(default_factory=lambda: {"": Setup()})
    # Open while the target is measured; what it holds is there when memory at rest is read.
    around: Callable = lambda _session: contextlib.nullcontext()
    # Whether the load without a proxy is measured, too.
    direct: bool = False
    # Names of the only targets; none means all.
    only: tuple = ()
    pin: bool = True
    # Whether instructions are counted here as well.
    counted: bool = False
    mebibyte_bodies: bool = False

    @property
    def core(self):
        """Where the proxy runs."""
        return PROXY_CORE if self.pin else None


def closed(connections, page="small", pin=True):
    """As fast as the answers come."""

    def drive(bench, session, seconds, headers):
        script = bench.lab.file("upload.lua", UPLOAD) if page == "upload" else None
        return wrk(session.url(page), connections, seconds, headers, script, LOAD_CORE if pin else None)

    return drive


def rated(bench, session, seconds, headers):
    """A fixed number of requests a second, over 64 connections."""
    return h2load(session.url("small"), 64, lab=bench.lab, requests=RATE * seconds, rate=RATE, headers=headers)


def http2(bench, session, seconds, headers):
    """64 requests in flight over 8 connections, prior knowledge."""
    return h2load(session.url("small"), 8, lab=bench.lab, seconds=seconds, streams=8, http1=False, headers=headers)


@contextlib.contextmanager
def idle(session):
    """A thousand connections that have asked once and are kept open."""
    request = f"GET {PREFIX}/small HTTP/1.1\r\nHost: 127.0.0.1:{session.port}\r\n" + "\r\n".join(HEADERS) + "\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(IDLE):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", session.port), timeout=10))
            connection.sendall(request.encode())
            answer = b""
            while b"]}" not in answer:
                more = connection.recv(65536)
                if not more:
                    raise Failure(f"an idle connection was closed after {answer[:200]!r}")
                answer += more
        yield


SCENARIOS = {
    "c64": Scenario("64 connections, small body", closed(64), counted=True),
    "rate": Scenario(f"{RATE} requests/s, 64 connections", rated, direct=True),
    "one": Scenario("1 connection", closed(1), direct=True),
    "idle": Scenario(f"{IDLE} idle + 64 active", closed(64), around=idle),
    "big": Scenario("1 MiB answers, 16 connections", closed(16, "big"), mebibyte_bodies=True),
    "upload": Scenario("1 MiB uploads, 16 connections", closed(16, "upload"), mebibyte_bodies=True),
    "tls": Scenario("TLS upstream, 64 connections", closed(64), {"": Setup(upstream="tls")}),
    "h2": Scenario("HTTP/2 both sides, 8 × 8 streams", http2, {"": Setup(upstream="http2")}, counted=True),
    "workers": Scenario("2 workers, 4 connections", closed(4, pin=False), {"": Setup(workers=2)}, pin=False),
    "renewals": Scenario(
        "renewals",
        closed(64),
        {"none": Setup(), "every second": Setup(token_lifetime=2)},
        only=("sidepass", "Envoy"),
    ),
    # Counted only: no load is driven.
    "routes": Scenario(
        "routes and profiles", None, {"10": Setup(), "1000": Setup(routes=1000)}, only=("sidepass",), counted=True
    ),
}
