"""Server-sent events with Python's httpx-sse: the upstream sends an event only after the one before was acknowledged."""

import httpx
from httpx_sse import aconnect_sse

from report import BASE, PROTOCOL, answer, main, scenario


def client():
    return httpx.AsyncClient(http1=PROTOCOL == "h1", http2=PROTOCOL == "h2", timeout=10, base_url=BASE)


@scenario
async def one_by_one():
    async with client() as listener, client() as other:
        events = []
        async with aconnect_sse(listener, "GET", "/sse?id=httpx") as source:
            async for event in source.aiter_sse():
                events.append([event.id, event.event, event.data])
                await other.post("/acknowledge?id=httpx")
            return {"events": events, "answer": answer(source.response.status_code, source.response.headers.raw, b"")}


main()
