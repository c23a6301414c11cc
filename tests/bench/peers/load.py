"""Load by wrk and h2load, and what they say about it."""

import dataclasses
import re
import subprocess

from lab import LOAD_CORE, Failure, pinned

# With Host, a GET has seven header lines; all the same for each target.
HEADERS = [
    "user-agent: bench/1",
    "accept: application/json",
    "accept-language: en-GB",
    "x-request-id: 7f3c2b1a9d8e4f60",
    "x-tenant: acme",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
]
UPLOAD = 'wrk.method = "POST"\nwrk.body = string.rep("u", 1048576)\n'
UNITS = {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}


@dataclasses.dataclass
class Load:
    """What came of it; times in ms."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int


def _run(command, core):
    done = subprocess.run(pinned(core, command), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{command[0]}: exit code {done.returncode}\n{(done.stderr or done.stdout)[-500:]}")
    return done.stdout


def _headers(more):
    return [part for header in HEADERS + list(more) for part in ("-H", header)]


def wrk(url, connections, seconds, headers=(), script=None, core=LOAD_CORE):
    """As many requests as it takes, from one thread."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *_headers(headers)]
    out = _run(command + (["-s", str(script)] if script else []) + [url], core)
    done = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m),", out)
    at = {share: float(value) * UNITS[unit] for share, value, unit in re.findall(r"^\s+(\d+)%\s+([\d.]+)(us|ms|s|m)\s*$", out, re.M)}
    socket = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    status = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    errors = sum(map(int, socket.groups())) if socket else 0
    errors += int(status[1]) if status else 0
    return Load(int(done[1]), float(done[2]) * UNITS[done[3]] / 1e3, at["50"], at["99"], errors)


def h2load(url, connections, *, lab, requests=None, seconds=None, streams=1, rate=None, http1=True, headers=()):
    """A number of requests, or as many as it takes; `rate` is requests per second of all connections together."""
    log = lab.folder / "h2load.log"
    log.unlink(missing_ok=True)
    command = ["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"--log-file={log}", *_headers(headers)]
    command += ["--h1"] if http1 else []
    command += [f"--rps={rate / connections:g}"] if rate else []
    command += [f"-n{requests}"] if requests else [f"-D{seconds}"]
    out = _run([*command, url], LOAD_CORE)
    total, done, good = map(int, re.search(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded", out).groups())
    took = re.search(r"finished in ([\d.]+)(us|ms|s|m)\b", out)
    times = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines()) or [0]
    missed = (requests or done) - good
    return Load(done, float(took[1]) * UNITS[took[2]] / 1e3, at_share(times, 0.5) / 1e3, at_share(times, 0.99) / 1e3, missed)


def at_share(ordered, share):
    """The value that this share of an ordered list does not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
