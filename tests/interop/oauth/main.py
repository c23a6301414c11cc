"""Gets a token from servers that others wrote, in every way that sidepass has, and calls a resource with it. See ../run."""

import argparse
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from fnmatch import fnmatchcase as fnmatch

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "smoke"))
import refusals  # noqa: E402
import rows_certificate  # noqa: E402
import rows_client  # noqa: E402
import rows_glewlwyd  # noqa: E402
import rows_grant  # noqa: E402
import rows_refresh  # noqa: E402
import saml  # noqa: E402
import table  # noqa: E402
from behind import Behind  # noqa: E402
from processes import Failure  # noqa: E402
from row import MISSING, PASSED, Run, leaks  # noqa: E402
from world import World  # noqa: E402

# Rows that sidepass cannot do yet, by name: `missing` in the table, and the run fails once they work.
NOT_YET = ()
SHOWN = 1500
MISSING_SECONDS = 1


def once(row, options, world, upstream, tap):
    """Runs a row; why it did not pass, if it did not."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=world.folder))
    before = len(tap)
    sidepass = Behind(
        options.binary, folder, row.upstream or f"{upstream}/{row.realm}", row.profile, row.route, world.authority.file
    )
    run = Run(row, sidepass, world, lambda: tap[before:])
    try:
        if row.prepare:
            row.prepare()
        if row.by_hand:
            row.scenario(run)
        else:
            with sidepass:
                # What cannot be will not come later.
                sidepass.ready(*((MISSING_SECONDS,) if row.missing else ()))
                if row.scenario:
                    row.scenario(run)
                else:
                    run.expect(sidepass.claims())
        if row.oracle:
            row.oracle(run)
        leaks(run)
    except (Failure, OSError, KeyError, subprocess.TimeoutExpired) as error:
        answers = [f"{request.status} {request.url}" for request in run.token_requests()]
        return f"{error!r}\ntoken requests: {answers}\nsidepass: {sidepass.text()[-SHOWN:]}"
    return None


def result(row, problem):
    """What stands in the table, and whether the run is as it should be."""
    if row.missing:
        return MISSING, bool(problem)
    return PASSED if not problem else "FAILED", not problem


def clients_of(rows, server):
    """What a server is told of its clients."""
    return [row.client for row in rows if row.server == server]


def refresh_tokens(world, rows, provider):
    """Where profiles find the refresh tokens that were made for them."""
    consents = [row for row in rows if row.consent]
    for row, token in zip(consents, provider.said["refresh_tokens"], strict=True):
        pathlib.Path(row.profile["refresh_token"]["file"]).write_text(token, encoding="ascii")


def main():
    parser = argparse.ArgumentParser(prog="tests/interop/run --part oauth")
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    parser.add_argument("--write", action="store_true", help="write the table of README anew")
    parser.add_argument("binary")
    options = parser.parse_args()
    options.binary = str(pathlib.Path(options.binary).resolve(strict=True))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="interop-oauth-") as folder:
        try:
            results, sound = everything(options, folder)
        except Failure as failure:
            sys.exit(f"interop: {failure}")
    whole = not options.only
    if whole and sound and options.write:
        table.write(results)
    print("\n".join(table.lines(results)))
    if whole and not table.is_kept(results):
        sound = False
        print("README has another table: see above what is wrong, or write it anew with tests/interop/run --write")
    sys.exit(0 if sound and results else 1)


def everything(options, folder):
    """All rows; their results, and whether all is as it should be."""
    world = World(options.binary, folder)
    os.umask(0o077)
    parts = (rows_client, rows_certificate, rows_grant, rows_refresh, rows_glewlwyd, saml)
    rows = [row for part in parts for row in part.rows(world)]
    for row in rows:
        row.missing = any(fnmatch(str(row), pattern) for pattern in NOT_YET)
    results, sound = [], True
    with world.saml, contextlib.ExitStack() as stack:
        provider = stack.enter_context(world.provider([row for row in rows if row.server == rows_client.SERVER]))
        refresh_tokens(world, rows, provider)
        stack.enter_context(
            world.glewlwyd.start(clients_of(rows, rows_glewlwyd.SERVER), [{"username": "heidi", "password": world.password}])
        )
        resource = stack.enter_context(world.protected(world.realms()))
        refusals.check(world, resource.said["url"])
        for row in rows:
            if options.only and options.only not in str(row):
                continue
            started = time.monotonic()
            problem = once(row, options, world, resource.said["url"], provider.tapped)
            found, expected = result(row, problem)
            sound &= expected
            results.append((row, found))
            print(f"{row!s:<70} {found} {time.monotonic() - started:.1f} s", flush=True)
            if not expected:
                print("    " + (problem or "it works now: it is no longer missing").replace("\n", "\n    "))
    return results, sound


if __name__ == "__main__":
    main()
