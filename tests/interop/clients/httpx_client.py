"""Python's httpx, over HTTP/1.1 (h11) or HTTP/2 (h2)."""

import asyncio

import httpx

from report import BASE, PROTOCOL, answer, main, pattern, scenario

client = httpx.AsyncClient(http1=PROTOCOL == "h1", http2=PROTOCOL == "h2", timeout=15, base_url=BASE)


def saw(got):
    return answer(got.status_code, got.headers.raw, got.content, version=got.http_version)


async def pieces():
    """A body that is made as it goes."""
    data = pattern(1 << 20)
    for start in range(0, len(data), 30_000):
        yield data[start : start + 30_000]
        await asyncio.sleep(0)


@scenario
async def get():
    return [saw(await client.get("/fixed")), saw(await client.get("/echo", params={"a": "b c", "d": "é"}))]


@scenario
async def cookies():
    return saw(await client.get("/echo", headers={"Cookie": "a=1; b=2"}))


@scenario
async def post_json():
    return saw(await client.post("/echo", json={"a": [1, "é"]}))


@scenario
async def streaming_upload():
    return saw(await client.put("/echo", content=pieces()))


@scenario
async def streaming_download():
    async with client.stream("GET", "/bytes?n=3000000&chunked=1") as got:
        data = b"".join([piece async for piece in got.aiter_raw()])
        return answer(got.status_code, got.headers.raw, data)


@scenario
async def download_1_mib():
    return saw(await client.get("/bytes?n=1048576"))


@scenario
async def gzip_unpacked():
    return saw(await client.get("/gzip"))


@scenario
async def redirect():
    got = await client.get("/redirect?absolute=1", follow_redirects=True)
    return [saw(got), str(got.url), saw(await client.get("/redirect"))]


@scenario
async def no_body():
    return [saw(await client.get("/status/204")), saw(await client.head("/fixed")), saw(await client.get("/status/304"))]


@scenario
async def slow():
    return saw(await client.get("/slow"))


@scenario
async def parallel():
    answers = await asyncio.gather(*(client.get(f"/status/200?{n}") for n in range(100)))
    return sorted(got.status_code for got in answers)


main()
