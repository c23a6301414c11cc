"""Python's aiohttp."""

import asyncio

import aiohttp

from report import BASE, answer, main, pattern, scenario


def session():
    return aiohttp.ClientSession(BASE, auto_decompress=True, cookie_jar=aiohttp.DummyCookieJar())


async def saw(got):
    return answer(got.status, got.raw_headers, await got.read(), reason=got.reason)


async def pieces():
    data = pattern(1 << 20)
    for start in range(0, len(data), 30_000):
        yield data[start : start + 30_000]


@scenario
async def get():
    async with session() as client, client.get("/fixed") as one, client.get("/echo?a=b%20c") as other:
        return [await saw(one), await saw(other)]


@scenario
async def post_json():
    async with session() as client, client.post("/echo", json={"a": [1, "é"]}) as got:
        return await saw(got)


@scenario
async def multipart():
    with aiohttp.MultipartWriter("form-data", boundary="interop") as form:
        form.append(b"abc", {"Content-Type": "application/x-thing"})
        form.append_json({"a": 1})
    async with session() as client, client.post("/echo", data=form) as got:
        return await saw(got)


@scenario
async def streaming_upload():
    async with session() as client, client.put("/echo", data=pieces()) as got:
        return await saw(got)


@scenario
async def expectation():
    async with session() as client, client.put("/echo", data=b"body", expect100=True) as got:
        return await saw(got)


@scenario
async def compressed_upload():
    async with session() as client, client.put("/echo", data=b"a" * 5000, compress="deflate") as got:
        return await saw(got)


@scenario
async def streaming_download():
    async with session() as client, client.get("/bytes?n=3000000&chunked=1") as got:
        return answer(got.status, got.raw_headers, b"".join([piece async for piece in got.content.iter_any()]))


@scenario
async def gzip_unpacked():
    async with session() as client, client.get("/gzip") as got:
        return await saw(got)


@scenario
async def no_body():
    async with session() as client, client.head("/fixed") as one, client.get("/status/204") as other:
        return [await saw(one), await saw(other)]


@scenario
async def aborted_download():
    """Leaves in the middle; the next request is not harmed."""
    async with session() as client:
        async with client.get("/bytes?n=50000000") as got:
            await got.content.readexactly(1000)
            got.close()
        async with client.get("/fixed") as got:
            return await saw(got)


@scenario
async def parallel():
    async with session() as client:

        async def one(n):
            async with client.get(f"/status/200?{n}") as got:
                return got.status, await got.text()

        return sorted(await asyncio.gather(*(one(n) for n in range(200))))


main()
