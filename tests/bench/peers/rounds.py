"""Interleaved rounds: each target once in every round, in rotated order, so that a busy minute hits them all."""

import dataclasses
import sys
import threading
import time

import usage
from lab import Failure
from session import Session, serving
from target_direct import NAME as DIRECT

# Seconds; wrk knows whole ones only.
WARM_UP = 1


@dataclasses.dataclass
class Round:
    """What one target did in one round. CPU in µs a request, times in ms, memory in MiB."""

    rps: float
    p50: float
    p99: float
    errors: int
    cpu: float | None = None
    rest: float | None = None
    loaded: float | None = None
    peak: float | None = None
    # CPU of the less busy of the two busiest threads, as a share of the busiest one's.
    evenness: float | None = None
    renewals: float | None = None


def one(bench, scenario, target, setup, seconds):
    """Starts the target, proves it, measures it, proves it again."""
    if target.name == DIRECT:
        session = Session(None, bench.upstream.plain)
        headers = [f"authorization: Bearer {bench.tokens.issue()}"]
        load = scenario.drive(bench, session, seconds, headers)
        return Round(load.requests / load.seconds, load.p50, load.p99, load.errors)
    with serving(bench, target, setup, core=scenario.core) as session, scenario.around(session):
        pid = session.process.pid
        time.sleep(0.3)
        rest = usage.pss(pid)
        warm = scenario.drive(bench, session, WARM_UP, [])
        memory = []
        sampler = threading.Timer(seconds * 0.6, lambda: memory.append(usage.pss(pid)))
        issued, threads, cpu = len(bench.tokens.issued), usage.threads(pid), usage.cpu(pid)
        sampler.start()
        load = scenario.drive(bench, session, seconds, [])
        cpu = usage.cpu(pid) - cpu
        busiest = sorted((now - threads.get(key, 0) for key, now in usage.threads(pid).items()), reverse=True)
        sampler.join()
        return Round(
            rps=load.requests / load.seconds,
            p50=load.p50,
            p99=load.p99,
            errors=load.errors + warm.errors,
            cpu=cpu / max(1, load.requests) * 1e6,
            rest=rest,
            loaded=memory[0],
            peak=usage.peak(pid),
            evenness=busiest[1] / busiest[0] if setup.workers == 2 and busiest[0] else None,
            renewals=(len(bench.tokens.issued) - issued) / load.seconds,
        )


def rows(scenario, targets, direct):
    """The (target, variant) pairs of a scenario."""
    chosen = [target for target in targets if not scenario.only or target.name in scenario.only]
    pairs = [(t, v) for t in chosen for v, setup in scenario.variants.items() if t.can(setup)]
    return pairs + ([(direct, "")] if scenario.direct else [])


def run(bench, scenario, pairs, rounds, seconds):
    """The rounds of each pair, by (target's name, variant), and what failed."""
    results, failures = {(t.name, v): [] for t, v in pairs}, {}
    for number in range(rounds):
        turn = number % len(pairs) if pairs else 0
        for target, variant in pairs[turn:] + pairs[:turn]:
            key = target.name, variant
            if key in failures:
                results[key].append(None)
                continue
            try:
                results[key].append(one(bench, scenario, target, scenario.variants.get(variant), seconds))
            except (Failure, OSError) as failure:
                failures[key] = str(failure)
                results[key].append(None)
                print(f"{scenario.title}: {target.name}: {failure}", file=sys.stderr)
    return results, failures
