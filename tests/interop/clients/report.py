"""What every Python client shares: scenarios run one after the other, what each saw printed as a line of JSON.

A script is started with BASE PROTOCOL UNIX: the origin to ask, `h1` or `h2`, and a Unix socket of the same server.
"""

import asyncio
import hashlib
import inspect
import json
import sys

BASE, PROTOCOL, UNIX = sys.argv[1:4]
_scenarios = []


def scenario(function):
    """Declares a scenario, named after its function. It returns what it saw, or None where it does not apply."""
    _scenarios.append(function)
    return function


def body(data):
    """A body, as text when it is a short one."""
    if len(data) <= 200:
        return data.decode("latin-1")
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def answer(status, headers, data, **more):
    """An answer; one of /echo brings what the upstream saw."""
    headers = [[_text(name), _text(value)] for name, value in headers]
    seen = {"status": status, "headers": headers, **more}
    if status == 200 and ["x-echo", "1"] in ([name.lower(), value] for name, value in headers) and data:
        return {**seen, "upstream": json.loads(data)}
    return {**seen, "body": body(data)}


def _text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value


def pattern(size):
    """Bytes that no compression or repetition hides an error in."""
    block = b"".join(n.to_bytes(4, "big") for n in range(16384))
    return (block * (size // len(block) + 1))[:size]


async def _run(context):
    for function in _scenarios:
        try:
            saw = function(context) if inspect.signature(function).parameters else function()
            if inspect.isawaitable(saw):
                saw = await asyncio.wait_for(saw, 15)
        except Exception as error:  # a failure is what the client saw
            saw = {"error": f"{type(error).__name__}: {error}"[:400]}
        if saw is None:
            continue
        print(json.dumps({"scenario": function.__name__.replace("_", " "), "saw": saw}), flush=True)


def main(context=None):
    """Runs all scenarios; `context` is handed to those that take an argument."""
    asyncio.run(_run(context))
