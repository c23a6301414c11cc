"""A target that serves, shown to deliver its token to the upstream before and after it is measured."""

import contextlib
import dataclasses
import http.client

from lab import PROXY_CORE, Failure, free_port, wait_for

# Of ten routes one in the middle; the peers have one route for everything.
PREFIX = "/r5"


@dataclasses.dataclass
class Bench:
    """What all runs share."""

    lab: object
    upstream: object
    tokens: object


@dataclasses.dataclass
class Session:
    """A running target."""

    process: object
    port: int

    def url(self, page):
        """The address of one of the upstream's pages (small, big, upload, echo) through the target."""
        return f"http://127.0.0.1:{self.port}{PREFIX}/{page}"


def injects(tokens, port):
    """Whether a request without a credential reaches the upstream with a token that the service issued."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", f"{PREFIX}/echo")
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return answer.status == 200 and text.removeprefix("Bearer ") in tokens.issued


@contextlib.contextmanager
def serving(bench, target, setup, wrap=(), core=PROXY_CORE, patience=20):
    """Starts a target (behind `wrap`, e.g. valgrind), waits until it injects, and asks once more at the end."""
    bench.tokens.lifetime = setup.token_lifetime
    port = free_port()
    command, env, ready = target.command(bench.lab, setup, bench.upstream, bench.tokens, port)
    process = bench.lab.start([*wrap, *command], core=core, env=env, log=target.name)
    try:
        wait_for(target.name, lambda: ready() and injects(bench.tokens, port), process, patience)
        yield Session(process, port)
        if not injects(bench.tokens, port):
            raise Failure(f"{target.name}: after the load it does not inject any more")
    finally:
        bench.lab.stop(process)
