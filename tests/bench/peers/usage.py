"""CPU time and memory of a process and all its descendants, from /proc."""

import os
import pathlib
import re

TICK = 1 / os.sysconf("SC_CLK_TCK")


def tree(pid):
    """The process and its descendants, threads' children included."""
    found = [pid]
    for each in found:
        for children in pathlib.Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in children.read_text().split())
            except OSError:
                continue
    return found


def threads(pid):
    """CPU seconds (user and system) so far, by (process, thread)."""
    seconds = {}
    for each in tree(pid):
        for stat in pathlib.Path(f"/proc/{each}/task").glob("*/stat"):
            try:
                # The name may hold spaces and brackets; what follows its last bracket does not.
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            seconds[each, int(stat.parent.name)] = (int(fields[11]) + int(fields[12])) * TICK
    return seconds


def cpu(pid):
    """CPU seconds of the tree, by the processes' own counters."""
    total = 0
    for each in tree(pid):
        try:
            fields = pathlib.Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total * TICK


def _sum(pid, file, name):
    total = 0
    for each in tree(pid):
        try:
            text = pathlib.Path(f"/proc/{each}/{file}").read_text()
        except OSError:
            continue
        found = re.search(rf"^{name}:\s+(\d+) kB", text, re.M)
        total += int(found[1]) if found else 0
    return total / 1024


def pss(pid):
    """Proportional set size in MiB: shared pages count in parts."""
    return _sum(pid, "smaps_rollup", "Pss")


def peak(pid):
    """Highest resident size so far in MiB (shared pages count fully in each process)."""
    return _sum(pid, "status", "VmHWM")
