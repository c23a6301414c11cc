"""sidepass beside nginx, HAProxy and Envoy: one command, one table. See tests/bench/run."""

import argparse
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import time

import counts
import gates
import report
import rounds
import summary
from lab import CORES, Failure, Lab
from scenarios import SCENARIOS
from session import Bench
from setup import Setup
from target_direct import Direct
from target_envoy import Envoy
from target_haproxy import Haproxy
from target_nginx import Nginx
from target_sidepass import Sidepass
from token_service import TokenService
from upstream import Upstream


def options():
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--scenario", default=",".join(SCENARIOS), help="of " + ", ".join(SCENARIOS))
    parser.add_argument("--targets", default="nginx,haproxy,envoy,sidepass", help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--duration", type=int, default=3, help="seconds of load a round (default: %(default)s)")
    parser.add_argument("--binary", type=pathlib.Path, required=True, help="(default: built with the profile dist)")
    parser.add_argument("--envoy", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=pathlib.Path, help="a file for all figures of all rounds")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown, and the short one of README after it")
    parser.add_argument("--no-callgrind", action="store_true", help="count no instructions (they take minutes)")
    parser.add_argument("--quick", action="store_true", help="sidepass's counts only, against tests/bench/peers/gates.py")
    return parser.parse_args()


def chosen(wanted, known, what):
    """The known things that were named, in the order of the known."""
    names = wanted.lower().split(",")
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"no such {what}: {', '.join(unknown)}; there are {', '.join(known)}")
    return {name: thing for name, thing in known.items() if name in names}


def quick(bench, sidepass):
    """The counts that are gates; the exit code."""
    few = counts.instructions(bench, sidepass, Setup())
    many = counts.instructions(bench, sidepass, Setup(routes=1000))
    calls = {connections: counts.system_calls(bench, sidepass, Setup(), connections) for connections in gates.SYSTEM_CALLS}
    print(f"user instructions per request: {few:,.0f}; with 1000 routes and profiles: {many:,.0f}")
    print("system calls per request: " + ", ".join(f"{value:.2f} at {n} connections" for n, value in calls.items()))
    broken = gates.broken(few, many, calls)
    for line in broken:
        print(f"gate: {line}")
    return 1 if broken else 0


def count(bench, results, key, scenario, pairs, args):
    """Instructions and system calls of a scenario's targets."""
    refused = results.failures.setdefault(key, {})
    for target, variant in pairs:
        if (target.name, variant) in refused:
            continue
        setup, name = scenario.variants[variant], target.name
        try:
            if key == "c64":
                results.system_calls[key, name] = {n: counts.system_calls(bench, target, setup, n) for n in (1, 64)}
            if not args.no_callgrind:
                found = counts.instructions(bench, target, setup, http2=key == "h2")
                results.instructions[key, name, variant] = found
        except (Failure, OSError, subprocess.CalledProcessError) as failure:
            refused[name, variant] = str(failure)
            print(f"{scenario.title}: {name}: {failure}", file=sys.stderr)


def measure(bench, scenarios, targets, args):
    """All scenarios, one after the other."""
    results = report.Results()
    for key, scenario in scenarios.items():
        start = time.monotonic()
        pairs = rounds.rows(scenario, list(targets.values()), Direct())
        if scenario.drive:
            results.rounds[key], results.failures[key] = rounds.run(bench, scenario, pairs, args.rounds, args.duration)
        if scenario.counted:
            count(bench, results, key, scenario, pairs, args)
        print(f"{scenario.title}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return results


def table(results, scenarios, targets):
    """The rows of all scenarios."""
    rows = []
    for key, scenario in scenarios.items():
        for target, variant in rounds.rows(scenario, list(targets.values()), Direct()):
            rows.append(results.row(key, scenario, target.name, variant))
    return rows


def machine():
    """What it ran on."""
    model = [line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return f"{len(CORES)} cores ({model[0] if model else platform.machine()}), Linux {platform.release()}, load {os.getloadavg()[0]:.1f}"


def write_json(file, results):
    """All rounds and counts, for other tools."""
    timed = {
        key: {" ".join(row).strip(): [vars(r) if r else None for r in done] for row, done in all_rows.items()}
        for key, all_rows in results.rounds.items()
    }
    counted = {
        "instructions": {" ".join(key).strip(): value for key, value in results.instructions.items()},
        "system_calls": {" ".join(key): value for key, value in results.system_calls.items()},
    }
    file.write_text(json.dumps({"machine": machine(), "rounds": timed, **counted}, indent=1) + "\n", encoding="utf-8")


def main():
    """The exit code: 1 where a gate is broken or a target failed."""
    args = options()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sidepass = Sidepass(args.binary.resolve(strict=True))
    known = {"nginx": Nginx(), "haproxy": Haproxy(), "envoy": Envoy(args.envoy), "sidepass": sidepass}
    targets = chosen(args.targets, known, "target")
    scenarios = chosen(args.scenario, SCENARIOS, "scenario")
    with Lab() as lab:
        tokens = TokenService()
        bench = Bench(lab, Upstream(lab), tokens)
        if args.quick:
            return quick(bench, sidepass)
        results = measure(bench, scenarios, targets, args)
    rows = table(results, scenarios, targets)
    print(f"\n{args.rounds} interleaved rounds of {args.duration} s; {machine()}\n")
    print(report.markdown(rows) if args.markdown else report.plain(rows))
    if args.markdown:
        print("\n" + report.markdown(summary.rows(results, SCENARIOS), summary.HEAD))
    if args.json:
        write_json(args.json, results)
    return 1 if any(results.failures.values()) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"bench: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
