"""WebSocket with Python's websockets, against npm's ws."""

import asyncio
import os

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from report import BASE, answer, body, main, pattern, scenario

URL = BASE.replace("http://", "ws://")


def opened(connection):
    """The handshake's answer without what is random in it."""
    response = connection.response
    headers = [[name, value] for name, value in response.headers.raw_items() if name.lower() != "sec-websocket-accept"]
    return {**answer(response.status_code, headers, b""), "subprotocol": connection.subprotocol}


@scenario
async def echo():
    async with connect(f"{URL}/ws") as connection:
        await connection.send("text é")
        await connection.send(b"\x00\xff")
        return [opened(connection), await connection.recv(), (await connection.recv()).hex()]


@scenario
async def subprotocol():
    async with connect(f"{URL}/ws", subprotocols=["other", "interop"]) as connection:
        return opened(connection)


@scenario
async def frames_of_1_mib():
    data = pattern(1 << 20)
    async with connect(f"{URL}/ws", max_size=None, compression=None) as connection:
        sizes = []
        for _ in range(4):
            await connection.send(data)
            sizes.append(body(await connection.recv()))
        return sizes


@scenario
async def compressed_frames():
    data = os.urandom(1000).hex() * 100
    async with connect(f"{URL}/ws", max_size=None, compression="deflate") as connection:
        await connection.send(data)
        return [opened(connection), await connection.recv() == data]


@scenario
async def fragments():
    async with connect(f"{URL}/ws") as connection:
        await connection.send(["one ", "two ", "three"])
        return await connection.recv()


@scenario
async def ping_and_pong():
    async with connect(f"{URL}/ws", ping_interval=None) as connection:
        return await asyncio.wait_for(await connection.ping(b"interop"), 5) >= 0


@scenario
async def close_by_the_client():
    connection = await connect(f"{URL}/ws")
    await connection.close(4002, "had enough")
    return [connection.close_code, connection.close_reason]


@scenario
async def close_by_the_server():
    async with connect(f"{URL}/ws/close") as connection:
        await connection.wait_closed()
        return [connection.close_code, connection.close_reason]


@scenario
async def refused_with_403():
    try:
        async with connect(f"{URL}/ws/refused"):
            return "opened"
    except InvalidStatus as refusal:
        response = refusal.response
        return answer(response.status_code, response.headers.raw_items(), response.body)


@scenario
async def many_at_once():
    async def one(n):
        async with connect(f"{URL}/ws") as connection:
            await connection.send(str(n))
            return await connection.recv()

    return sorted(await asyncio.gather(*(one(n) for n in range(50))))


main()
