"""Counts that do not depend on how busy the machine is: user instructions and system calls per request.

Each is the difference of two loads of different length on the same process, so that start and connecting drop out.
"""

import dataclasses
import re
import signal
import subprocess
import time

import usage
from lab import Failure
from load import h2load
from session import serving

FEW, MANY = 2_000, 12_000
# Envoy executes five times as many, and valgrind is slow.
ENVOY_FEW, ENVOY_MANY = 1_000, 4_000
CALLGRIND_CONNECTIONS = 8


def _load(bench, session, requests, connections, http2):
    streams = 8 if http2 else 1
    load = h2load(
        session.url("small"), connections, lab=bench.lab, requests=requests, streams=streams, http1=not http2
    )
    if load.errors:
        raise Failure(f"{load.errors} of {requests} requests failed while they were counted")


def instructions(bench, target, setup, http2=False):
    """User instructions per request at eight connections (HTTP/2: with eight streams each)."""
    setup = dataclasses.replace(setup, single_process=True)
    few, many = (ENVOY_FEW, ENVOY_MANY) if target.name == "Envoy" else (FEW, MANY)
    out = bench.lab.folder / "callgrind.out"
    for old in bench.lab.folder.glob("callgrind.out*"):
        old.unlink()
    wrap = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
    with serving(bench, target, setup, wrap=wrap, patience=180) as session:
        dump(session, out, 1)
        _load(bench, session, few, CALLGRIND_CONNECTIONS, http2)
        of_few = dump(session, out, 2)
        _load(bench, session, many, CALLGRIND_CONNECTIONS, http2)
        of_many = dump(session, out, 3)
    return (of_many - of_few) / (many - few)


def dump(session, out, part):
    """Writes what was counted since the last dump, and returns it."""
    subprocess.run(["callgrind_control", "-d", str(session.process.pid)], check=True, capture_output=True)
    file = out.with_name(f"{out.name}.{part}")
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        found = re.search(r"^totals: (\d+)", file.read_text() if file.exists() else "", re.M)
        if found:
            return int(found[1])
        time.sleep(0.05)
    raise Failure(f"callgrind wrote no {file.name}")


def system_calls(bench, target, setup, connections):
    """System calls per request; connections that wait share one epoll_wait, so more connections need fewer."""
    with serving(bench, target, setup) as session:
        _load(bench, session, FEW, connections, http2=False)
        few = _traced(bench, session, FEW, connections)
        many = _traced(bench, session, MANY, connections)
    return (many - few) / (MANY - FEW)


def _traced(bench, session, requests, connections):
    summary = bench.lab.folder / "strace.txt"
    processes = [part for pid in usage.tree(session.process.pid) for part in ("-p", str(pid))]
    tracer = bench.lab.start(["strace", "-f", "-c", "-o", summary, *processes], log="strace")
    time.sleep(0.5)
    _load(bench, session, requests, connections, http2=False)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(10)
    total = re.search(r"^\s*100\.00\s+\S+\s+(?:\d+\s+)?(\d+)\s.*total$", summary.read_text(), re.M)
    if not total:
        raise Failure(f"strace counted nothing:\n{tracer.output.read_text()[-1000:]}")
    bench.lab.stop(tracer)
    return int(total[1])
