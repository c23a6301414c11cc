"""What happens between the two namespaces. Started by `run` in the near one.

Arguments: BINARY, the file of names, the far namespace.
"""

import asyncio
import contextlib
import pathlib
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "abuse"))
from lab import Failure, Lab, Table, call, eventually, head_of, read_answer  # noqa: E402
from stand_in import StandIn  # noqa: E402

# Upstreams in the far namespace, and addresses where packets vanish.
ONE, TWO, ONE_6 = "10.99.0.2", "10.99.0.3", "fd99::2"
NEAR = "10.99.0.1"
DEAD, DEAD_6 = "10.99.0.66", "fd99::66"
NO_SUCH_MAC = "02:00:00:00:00:66"

TIMEOUTS = "timeouts: { connect: 2s, response_head: 2s, body_idle: 2s }"
# Busy machines.
SLACK = 4


def ip(*arguments, far=None):
    """Runs ip(8), here or in the far namespace."""
    subprocess.run(["ip", *(["-n", far] if far else []), *arguments], check=True, capture_output=True)


class Net:
    """The names, and the ways to break the path."""

    def __init__(self, hosts, far):
        self.hosts, self.far = pathlib.Path(hosts), far
        for address in (DEAD, DEAD_6):
            self.lose(address)

    def name(self, *addresses):
        """`api.test` has these addresses from now on. The file is bound by its inode: it is rewritten, not replaced."""
        lines = ["127.0.0.1 localhost", "::1 localhost", *(f"{address} api.test" for address in addresses)]
        with self.hosts.open("r+", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
            file.truncate()

    def lose(self, *addresses):
        """Packets to these addresses vanish without a word."""
        for address in addresses:
            ip("neigh", "replace", address, "lladdr", NO_SUCH_MAC, "dev", "link0", "nud", "permanent")

    def find(self, *addresses):
        """They arrive again."""
        for address in addresses:
            ip("neigh", "del", address, "dev", "link0")

    @contextlib.contextmanager
    def partition(self, kind):
        """No way to the upstreams."""
        match kind:
            case "packets vanish":
                self.lose(ONE)
                ip("neigh", "replace", NEAR, "lladdr", NO_SUCH_MAC, "dev", "link0", "nud", "permanent", far=self.far)
                yield
                ip("neigh", "del", NEAR, "dev", "link0", far=self.far)
                self.find(ONE)
            case "the far link is down":
                ip("link", "set", "link0", "down", far=self.far)
                yield
                ip("link", "set", "link0", "up", far=self.far)
                # Its address went with the link.
                ip("addr", "replace", f"{ONE_6}/64", "dev", "link0", "nodad", far=self.far)
            case "there is no route":
                ip("route", "add", "unreachable", ONE)
                yield
                ip("route", "del", "unreachable", ONE)


async def families(table, net, lab):
    """One family, both, and dead addresses beside live ones."""
    for what, addresses, wanted, most in [
        ("IPv4 only", [ONE], "200", 1),
        ("IPv6 only", [ONE_6], "200", 1),
        ("both", [ONE, ONE_6], "200", 1),
        ("IPv6 is dead", [DEAD_6, ONE], "200", 1),
        ("IPv4 is dead", [DEAD, ONE_6], "200", 1),
        ("all are dead", [DEAD_6, DEAD], "504 upstream_connect_timeout", 2),
        ("nobody listens", [NEAR], "502 upstream_unreachable", 1),
        ("the name is gone", [], "502 upstream_dns", 3),
    ]:
        net.name(*addresses)
        answer = await call(lab.port, path="/name")
        told = f"{answer.status} {answer.reason}".strip()
        table.row(told == wanted and answer.seconds < most + SLACK, f"addresses: {what}", wanted, answer)
        # So that the next one dials anew.
        await call(lab.port, path="/cut/body")


async def partitions(table, net, lab):
    """While a connection is idle, while an answer is awaited, and within it."""
    net.name(ONE)
    for kind in ("packets vanish", "the far link is down", "there is no route"):
        before = await call(lab.port, path="/name")
        with net.partition(kind):
            answers = [await call(lab.port, path="/name") for _ in range(2)]
        named = {"upstream_timeout", "upstream_connect_timeout", "upstream_unreachable", "upstream_closed"}
        good = before.status == 200 and all(a.reason in named and a.seconds < 2 + SLACK for a in answers)
        table.row(good, f"idle, then {kind}", "a reason of the upstream, in time", "; ".join(map(str, answers)))
        await recovered(table, lab)
        waiting = asyncio.ensure_future(call(lab.port, path="/wait/1000"))
        streaming = asyncio.ensure_future(call(lab.port, path="/stream/20/100"))
        await asyncio.sleep(0.4)
        with net.partition(kind):
            answer, stream = await waiting, await streaming
        # Without a route only our packets are lost: what is under way arrives.
        one_way = kind == "there is no route"
        good = (answer.reason in named or (one_way and answer.status == 200)) and answer.seconds < 3 + SLACK
        table.row(good, f"awaiting an answer: {kind}", "200, it arrives" if one_way else "504 upstream_timeout", answer)
        good = stream.status == 200 and not stream.whole and stream.seconds < 3 + SLACK
        table.row(good, f"within an answer: {kind}", "200, visibly cut", stream)
        await recovered(table, lab)
    left = lab.metric("sidepass_requests_in_flight")
    table.row(left == 0, "requests in flight afterwards", "0", f"{left:.0f}")


async def recovered(table, lab):
    """When the path is back, requests pass."""
    start = time.monotonic()
    while (answer := await call(lab.port, path="/name")).status != 200 and time.monotonic() - start < 15:
        await asyncio.sleep(0.2)
    table.row(answer.status == 200, "  ... and back", "200", f"{answer.status} after {time.monotonic() - start:.1f} s")


async def moves(table, net, lab):
    """A name moves while it is used all the time; then its old address goes away."""
    net.name(ONE)
    seen, failed, last_old, moved = [], [], 0.0, 0.0

    async def caller(over):
        nonlocal last_old
        reader, writer = await asyncio.open_connection("127.0.0.1", lab.port)
        while not over.is_set():
            writer.write(head_of(lab.port, "GET", "/moving/name"))
            answer = await read_answer(reader)
            if answer.status == 200:
                seen.append(answer.body)
                if moved and answer.body == b'"one"':
                    last_old = time.monotonic() - moved
            else:
                failed.append(str(answer))
            await asyncio.sleep(0.05)
        writer.transport.abort()

    over = asyncio.Event()
    callers = [asyncio.ensure_future(caller(over)) for _ in range(4)]
    await asyncio.sleep(1)
    net.name(TWO)
    moved = time.monotonic()
    await asyncio.sleep(2 + SLACK)
    net.lose(ONE)
    await asyncio.sleep(2)
    over.set()
    await asyncio.gather(*callers)
    net.find(ONE)
    good = not failed and seen[-1] == b'"two"' and last_old < 2 + SLACK
    table.row(
        good,
        "a name moves under load, pool.max_age 2s",
        "no failure, all there soon",
        f"{len(seen)} answers, {len(failed)} failed, the last from the old after {last_old:.1f} s",
    )


async def one_family(table, binary, net):
    """A machine that has only one family, on loopback as well."""
    for family, off, on, loopback in [
        ("IPv6", ["addr", "del", "127.0.0.1/8", "dev", "lo"], ["addr", "add", "127.0.0.1/8", "dev", "lo"], "::1"),
        ("IPv4", ["addr", "del", "::1/128", "dev", "lo"], ["addr", "add", "::1/128", "dev", "lo"], "127.0.0.1"),
    ]:
        near = "fd99::1/64" if family == "IPv4" else f"{NEAR}/24"
        net.name(ONE, ONE_6)
        ip(*off)
        ip("addr", "del", near, "dev", "link0")
        try:
            status = await started_alone(binary, loopback)
        finally:
            ip(*on)
            ip("addr", "add", near, "dev", "link0", *(["nodad"] if ":" in near else []))
        table.row(status == 200, f"a machine with {family} only", "200", status)


async def started_alone(binary, loopback):
    """Starts sidepass on `localhost` without profiles, and asks it."""
    # Nobody else is in this namespace.
    port, admin = 4080, 4090
    file = pathlib.Path(f"/tmp/sidepass-netns-{port}.yaml")
    file.write_text(
        f"proxy: {{ listen: 'localhost:{port}' }}\nadmin: {{ listen: 'localhost:{admin}' }}\n"
        "routes:\n  api: { upstream: 'http://api.test:8081' }\n",
        encoding="ascii",
    )
    process = subprocess.Popen(
        [binary, "run", "--config", str(file)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        for _ in range(100):
            if process.poll() is not None:
                return process.stdout.read().decode()
            try:
                reader, writer = await asyncio.open_connection(loopback, port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.write(head_of(port, "GET", "/name").replace(b"127.0.0.1", b"localhost"))
            answer = await asyncio.wait_for(read_answer(reader), 10)
            writer.transport.abort()
            return answer.status if answer.status == 200 else str(answer)
        return "it does not listen"
    finally:
        process.kill()
        process.wait()
        file.unlink()


async def run(binary, hosts, far):
    """All of it."""
    net, port = Net(hosts, far), 8081
    for address, number in [(ONE, 8081), (TWO, 8081), (ONE_6, 8081)]:
        eventually(
            f"the upstream at {address} listens",
            lambda a=address, n=number: socket.create_connection((a, n), 1).close() is None,
            quiet=OSError,
        )
    table = Table("netns", "fault", "wanted", "got")
    with StandIn() as tokens:
        to_there = f'upstream: "http://api.test:{port}", profile: abuse, allow_cleartext: true, {TIMEOUTS}'
        moving = "match: { path_prefix: /moving }, strip_prefix: true, pool: { max_age: 2s }"
        routes = f"  api: {{ {to_there} }}\n  moving: {{ {moving}, {to_there} }}\n"
        with Lab(binary, tokens.url, routes) as lab:
            await families(table, net, lab)
            await partitions(table, net, lab)
            await moves(table, net, lab)
            lab.must_live()
        await one_family(table, binary, net)
    return table.exit_code()


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(run(*sys.argv[1:])))
    except Failure as failure:
        sys.exit(f"netns: {failure}")
