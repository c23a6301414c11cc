"""wrk: some ten thousand requests, no error."""

import re
import subprocess

from report import BASE, main, scenario

ENOUGH = 1000


def wrk(*arguments):
    """Errors that wrk counted; whether it got anywhere."""
    run = subprocess.run(["wrk", *arguments], capture_output=True, text=True, check=True, timeout=30)
    errors = [line.strip() for line in run.stdout.splitlines() if "Socket errors" in line or "Non-2xx" in line]
    requests = int(re.search(r"(\d+) requests in", run.stdout)[1])
    return {"errors": errors, "enough": requests >= ENOUGH or requests}


@scenario
def keep_alive():
    return wrk("-t", "1", "-c", "32", "-d", "2s", f"{BASE}/small.txt")


@scenario
def a_connection_a_request():
    return wrk("-t", "1", "-c", "8", "-d", "1s", "-H", "Connection: close", f"{BASE}/small.txt")


main()
