"""h2load: ten thousand requests, many streams a connection, none fails."""

import re
import subprocess

from report import BASE, PROTOCOL, main, scenario


def h2load(*arguments):
    """How many requests succeeded, and the statuses."""
    version = ["--h1"] if PROTOCOL == "h1" else []
    run = subprocess.run(["h2load", *version, *arguments], capture_output=True, text=True, check=True, timeout=50)
    found = re.findall(r"^(?:requests|status codes): .*$", run.stdout, re.M)
    return {"counts": found}


@scenario
def many_small():
    streams = ["-m", "10"] if PROTOCOL == "h2" else []
    return h2load("-n", "10000", "-c", "8", *streams, f"{BASE}/small.txt")


@scenario
def many_streams_on_one_connection():
    return h2load("-n", "3000", "-c", "1", "-m", "100", f"{BASE}/small.txt") if PROTOCOL == "h2" else None


main()
