"""Runs every client direct and through sidepass, compares what it saw, prints a table. See run."""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "smoke"))
from compare import Side, differences  # noqa: E402
from known import admitted  # noqa: E402
from matrix import MATRIX  # noqa: E402
from processes import Failure, environment  # noqa: E402
from services import HERE, Services  # noqa: E402
from stand_ins import StandIns  # noqa: E402
from through import Through  # noqa: E402

# One client's scenarios take a few seconds; what takes this long hangs.
CLIENT_SECONDS = 60
SHOWN = 4


def observe(client, base, protocol, unix):
    """What a client saw, by scenario, in order. A script that fails is an observation too."""
    script = HERE / "clients" / client
    command = [sys.executable if script.suffix == ".py" else "node", str(script), base, protocol, unix]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(PYTHONDONTWRITEBYTECODE="1"),
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=CLIENT_SECONDS)
            ended = "" if process.returncode == 0 else f"exit code {process.returncode}: {errors[-500:]}"
        except subprocess.TimeoutExpired:
            # Its children too: git and curl are theirs.
            with contextlib.suppress(ProcessLookupError):
                signal_group(process)
            output, _ = process.communicate()
            ended = f"not done in {CLIENT_SECONDS} s"
    seen = {line["scenario"]: line["saw"] for line in map(json.loads, output.splitlines())}
    if ended:
        seen["(the script)"] = {"error": ended}
    return seen


def signal_group(process):
    """Ends a script and all that it started: it leads a process group of its own."""
    os.killpg(process.pid, signal.SIGKILL)


def failure(seen):
    """The first error in an observation: a client that fails both ways is no proof of anything."""
    if isinstance(seen, list):
        return next(filter(None, map(failure, seen)), None)
    return seen.get("error") if isinstance(seen, dict) else None


def refusal(seen):
    """The first reason that sidepass gives in an observation: an answer of its own, which no upstream made."""
    if isinstance(seen, list):
        if seen[:1] == ["x-sidepass-reason"]:
            return seen[1]
        return next(filter(None, map(refusal, seen)), None)
    return next(filter(None, map(refusal, seen.values())), None) if isinstance(seen, dict) else None


def judged(side_direct, side_through, direct, through):
    """The differences of one scenario."""
    if direct is None:
        return ["the scenario did not run direct"]
    if error := failure(direct):
        return [f"it fails direct: {error}"]
    if through is None:
        return ["the scenario did not run through sidepass"]
    if error := failure(through):
        return [f"it fails through sidepass: {error}"]
    if reason := refusal(through):
        return [f"sidepass answers by itself: {reason}"]
    side_direct.problems, side_through.problems = [], []
    found = list(differences(side_direct.normal(direct), side_through.normal(through)))
    return side_direct.problems + side_through.problems + found


class Table:
    """Prints a line a scenario as it comes, and counts."""

    def __init__(self):
        self.passed = self.failed = self.known = 0
        print(f"{'client':<20} {'way':<14} {'scenario':<34} result")

    def add(self, client, way, scenario, problems):
        known = admitted(way, scenario, problems) if problems else None
        self.known += known is not None
        self.failed += bool(problems) and known is None
        self.passed += not problems
        result = f"documented: {known}" if known else "DIFFERS" if problems else "same"
        print(f"{client:<20} {way:<14} {scenario:<34} {result}", flush=True)
        for problem in problems[:SHOWN]:
            print(f"    {problem}")
        if len(problems) > SHOWN:
            print(f"    and {len(problems) - SHOWN} more")


def through(options, folder, token_service, services, row, kind):
    """What a client saw through sidepass, and how to read it."""
    client, name, protocol, _ = row
    service = services[name]
    with Through(options.binary, folder, service, kind, services.ca_file, token_service.url) as sidepass:
        seen = observe(client, sidepass.url, protocol, sidepass.unix)
        return seen, Side(sidepass.url, sidepass.upstream, injects=True)


def run(options, folder, table):
    """All rows of the matrix."""
    with contextlib.ExitStack() as stack:
        token_service = stack.enter_context(StandIns())
        services = stack.enter_context(Services(folder))
        for row in MATRIX:
            client, name, protocol, kinds = row
            if options.only and options.only not in client:
                continue
            service = services[name]
            base = service.url("h2c" if protocol == "h2" else "h1")
            direct = observe(client, base, protocol, service.unix)
            near = Side(base, base, injects=False)
            for kind in ("direct",) if options.direct else kinds:
                started = time.monotonic()
                way = f"{protocol} > {kind}"
                try:
                    if options.direct:
                        seen, far = observe(client, base, protocol, service.unix), near
                    else:
                        seen, far = through(options, folder, token_service, services, row, kind)
                except Failure as failure_to_start:
                    table.add(client, way, "(start)", [str(failure_to_start)])
                    continue
                for scenario in [*direct, *(name for name in seen if name not in direct)]:
                    table.add(client, way, scenario, judged(near, far, direct.get(scenario), seen.get(scenario)))
                print(f"{'':<20} {way:<14} {time.monotonic() - started:.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="tests/interop/run")
    parser.add_argument("--direct", action="store_true", help="compare direct with direct")
    parser.add_argument("--only", help="only clients whose name contains this")
    parser.add_argument("binary")
    options = parser.parse_args()
    options.binary = str(pathlib.Path(options.binary).resolve(strict=True))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    table = Table()
    with tempfile.TemporaryDirectory(prefix="interop-") as folder:
        try:
            run(options, folder, table)
        except Failure as failure:
            sys.exit(f"interop: {failure}")
    print(f"{table.passed} passed, {table.known} differ as documented, {table.failed} failed")
    sys.exit(table.failed > 0 or table.passed == 0)


if __name__ == "__main__":
    main()
