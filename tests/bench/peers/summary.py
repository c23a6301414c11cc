"""The short table, for README: a line for each measure, a column for each target."""

import report

TARGETS = ["nginx", "HAProxy", "Envoy", "sidepass"]
HEAD = ["scenario", "measure", *TARGETS, "sidepass × nginx (best)", "× Envoy (best)"]

# (scenario, field of a round, what it is, its format)
TIMED = [
    ("c64", "cpu", "CPU µs/request", ".1f"),
    ("c64", "loaded", "memory, MiB", ".1f"),
    ("rate", "cpu", "CPU µs/request", ".1f"),
    ("rate", "p99", "p99 ms", ".1f"),
    ("one", "p50", "p50 ms", ".3f"),
    ("idle", "loaded", "memory, MiB", ".1f"),
    ("big", "cpu", "CPU µs/MiB", ".0f"),
    ("big", "peak", "peak memory, MiB", ".1f"),
    ("upload", "cpu", "CPU µs/MiB", ".0f"),
    ("tls", "cpu", "CPU µs/request", ".1f"),
    ("h2", "cpu", "CPU µs/request", ".1f"),
    ("workers", "evenness", "less busy worker, share of the other", ".0%"),
]


def counted(results, scenarios):
    """The lines of what was counted."""
    rows = []
    for key in ("c64", "h2"):
        of = {name: results.instructions.get((key, name, "")) for name in TARGETS}
        if any(of.values()):
            cells = [report.show(of[name], ",.0f") for name in TARGETS]
            ratios = [against(of, peer) for peer in ("nginx", "Envoy")]
            rows.append([scenarios[key].title, "**user instructions/request**", *cells, *ratios])
    many, few = (results.instructions.get(("routes", "sidepass", n)) for n in ("1000", "10"))
    if many and few:
        rows.append(["1000 routes and profiles", "instructions against 10", "-", "-", "-", f"{many / few - 1:+.1%}", "-", "-"])
    for connections in (1, 64):
        of = {name: (results.system_calls.get(("c64", name)) or {}).get(connections) for name in TARGETS}
        if any(of.values()):
            cells = [report.show(of[name], ".2f") for name in TARGETS]
            ratios = [against(of, peer) for peer in ("nginx", "Envoy")]
            rows.append([f"connections: {connections}", "**system calls/request**", *cells, *ratios])
    return rows


def against(of, peer):
    """sidepass's count by a peer's."""
    return f"{of['sidepass'] / of[peer]:.2f}" if of.get("sidepass") and of.get(peer) else "-"


def timed(results, scenarios):
    """The lines of what was timed or weighed."""
    rows = []
    for key, field, what, form in TIMED:
        of = {name: results.reference(key, name) for name in TARGETS}
        if not any(of.values()):
            continue
        cells = [report.show(report.median(of[name] or [], field), form) for name in TARGETS]
        ratios = [report.show_ratio(report.ratio(of["sidepass"], of[peer], field)) for peer in ("nginx", "Envoy")]
        rows.append([scenarios[key].title, what, *cells, *(ratios if field != "evenness" else ["-", "-"])])
    of = results.rounds.get("renewals", {})
    renewing, resting = of.get(("sidepass", "every second")), of.get(("sidepass", "none"))
    for field, what in (("cpu", "CPU"), ("p99", "p99")):
        pair = report.ratio(renewing, resting, field)
        if pair:
            rows.append(["renewals every second", f"{what} × none (best)", "-", "-", "-", report.show_ratio(pair), "-", "-"])
    return rows


def rows(results, scenarios):
    """All lines."""
    return counted(results, scenarios) + timed(results, scenarios)
