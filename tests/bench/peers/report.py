"""The table: one row for each target in each scenario; ratios are medians of same-round ratios, and of the best rounds."""

import statistics

HEAD = [
    "scenario",
    "target",
    "instructions /request",
    "system calls 1 / 64",
    "CPU µs /request (best)",
    "× nginx (best)",
    "× Envoy (best)",
    "requests /s",
    "p50 / p99 ms",
    "Pss MiB rest → load, peak",
    "errors",
    "notes",
]


def median(rounds, field):
    """The median of a field over the rounds that have it; None where none has."""
    values = [getattr(r, field) for r in rounds or [] if r is not None and getattr(r, field) is not None]
    return statistics.median(values) if values else None


def best(rounds, field):
    """The smallest value of a field."""
    return min((getattr(r, field) for r in rounds if r is not None), default=None)


def ratio(rounds, other, field="cpu"):
    """(median of same-round ratios, ratio of the best rounds), or None."""
    pairs = [(a, b) for a, b in zip(rounds or [], other or []) if a and b and getattr(a, field) and getattr(b, field)]
    if not pairs:
        return None
    same = statistics.median(getattr(a, field) / getattr(b, field) for a, b in pairs)
    return same, best([a for a, _ in pairs], field) / best([b for _, b in pairs], field)


def show(value, form):
    """A number in a format, `-` where there is none."""
    return "-" if value is None else format(value, form)


def show_ratio(pair):
    """Both ratios."""
    return "-" if pair is None else f"{pair[0]:.2f} ({pair[1]:.2f})"


class Results:
    """All that was measured: `rounds[scenario][target, variant]`, `instructions[scenario, target, variant]`, ..."""

    def __init__(self):
        self.rounds, self.failures, self.instructions, self.system_calls = {}, {}, {}, {}

    def reference(self, scenario, name):
        """The rounds of a peer in a scenario, without a variant or with the first."""
        found = [rounds for (target, _), rounds in self.rounds.get(scenario, {}).items() if target == name]
        return found[0] if found else None

    def notes(self, key, scenario, target, variant):
        """What only some scenarios have."""
        rounds = self.rounds.get(key, {}).get((target, variant), [])
        notes = []
        if scenario.mebibyte_bodies and median(rounds, "cpu"):
            notes.append(f"{median(rounds, 'cpu') * 1024 / 1e6:.2f} s CPU per GiB")
        direct = self.reference(key, "direct")
        if direct and target != "direct":
            added = [(a.p50 - b.p50) * 1000 for a, b in zip(rounds, direct) if a and b]
            notes += [f"p50 {statistics.median(added):+.0f} µs over direct"] if added else []
        if median(rounds, "evenness") is not None:
            notes.append(f"less busy worker {median(rounds, 'evenness'):.0%} of the other")
        first = next(iter(scenario.variants))
        if variant and variant != first:
            base = self.rounds.get(key, {}).get((target, first))
            for field, name in (("cpu", "CPU"), ("p99", "p99")):
                against = ratio(rounds, base, field)
                notes += [f"{name} × {against[0]:.2f} ({against[1]:.2f}) of none"] if against else []
            if median(rounds, "renewals"):
                notes.append(f"{median(rounds, 'renewals'):.0f} renewals/s")
            fewer = self.instructions.get((key, target, first))
            more = self.instructions.get((key, target, variant))
            notes += [f"{more / fewer - 1:+.1%} against {first}"] if fewer and more else []
        if (target, variant) in self.failures.get(key, {}):
            notes.append("refused or failed")
        return "; ".join(notes)

    def row(self, key, scenario, target, variant):
        """The cells of a row."""
        rounds = self.rounds.get(key, {}).get((target, variant), [])
        calls = self.system_calls.get((key, target))
        lowest = best(rounds, "cpu") if median(rounds, "cpu") else None
        cpu = "-" if lowest is None else f"{median(rounds, 'cpu'):.1f} ({lowest:.1f})"
        memory = f"{median(rounds, 'rest'):.1f} → {median(rounds, 'loaded'):.1f}, {median(rounds, 'peak'):.1f}" if lowest else "-"
        latency = f"{median(rounds, 'p50'):.2f} / {median(rounds, 'p99'):.2f}" if any(rounds) else "-"
        return [
            scenario.title,
            f"{target} ({variant})" if variant else target,
            show(self.instructions.get((key, target, variant)), ",.0f"),
            f"{calls[1]:.2f} / {calls[64]:.2f}" if calls else "-",
            cpu,
            show_ratio(ratio(rounds, self.reference(key, "nginx"))),
            show_ratio(ratio(rounds, self.reference(key, "Envoy"))),
            show(median(rounds, "rps"), ",.0f"),
            latency,
            memory,
            str(sum(r.errors for r in rounds if r)) if any(rounds) else "-",
            self.notes(key, scenario, target, variant),
        ]


def markdown(rows, head=HEAD):
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def plain(rows):
    """A table in columns."""
    widths = [max(len(row[n]) for row in [HEAD, *rows]) for n in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [HEAD, *rows])
