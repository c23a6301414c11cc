"""WebSocket of Python's `websockets`: /ws echoes, /ws/refused says 403, /ws/close closes with a code of its own.

usage: websocket.py CERTIFICATE KEY; prints its ports as one line of JSON.
"""

import asyncio
import http
import json
import logging
import ssl
import sys

from websockets.asyncio.server import serve

LARGEST = 8 * 1024 * 1024


def refuse(connection, request):
    """403 instead of 101."""
    if request.path.startswith("/ws/refused"):
        return connection.respond(http.HTTPStatus.FORBIDDEN, "refused\n")
    return None


def subprotocol(_connection, offered):
    """Ours, when the client offers it."""
    return "interop" if "interop" in offered else None


async def handle(connection):
    """Sends every message back."""
    if connection.request.path.startswith("/ws/close"):
        await connection.close(4001, "as asked")
        return
    async for message in connection:
        await connection.send(message)


async def main():
    # A client that leaves without a close frame is part of a test, no news.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[1:3])
    common = {"process_request": refuse, "select_subprotocol": subprotocol, "max_size": LARGEST}
    async with (
        serve(handle, "127.0.0.1", 0, **common) as plain,
        serve(handle, "127.0.0.1", 0, ssl=context, **common) as tls,
    ):
        ports = {name: server.sockets[0].getsockname()[1] for name, server in (("h1", plain), ("tls", tls))}
        print(json.dumps(ports), flush=True)
        await asyncio.Future()


asyncio.run(main())
