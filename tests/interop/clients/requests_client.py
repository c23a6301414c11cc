"""Python's requests (urllib3)."""

from concurrent.futures import ThreadPoolExecutor

import requests

from report import BASE, answer, main, pattern, scenario


def saw(got):
    """An answer of requests. urllib3 keeps the lines of a repeated field apart."""
    return answer(got.status_code, got.raw.headers.items(), got.content)


@scenario
def get(session):
    return [saw(session.get(f"{BASE}/fixed")), saw(session.get(f"{BASE}/echo", params={"a": "b c", "d": "é"}))]


@scenario
def post_json(session):
    return saw(session.post(f"{BASE}/echo", json={"a": [1, "é"]}))


@scenario
def post_files(session):
    return saw(session.post(f"{BASE}/echo", data=b"x" * 70_000, headers={"Content-Type": "application/x-thing"}))


@scenario
def streaming_upload(session):
    data = pattern(1 << 20)
    return saw(session.put(f"{BASE}/echo", data=(data[n : n + 10_000] for n in range(0, len(data), 10_000))))


@scenario
def streaming_download(session):
    with session.get(f"{BASE}/bytes", params={"n": 3_000_000, "chunked": 1}, stream=True) as got:
        return answer(got.status_code, got.raw.headers.items(), b"".join(got.iter_content(8192)))


@scenario
def gzip_unpacked(session):
    return saw(session.get(f"{BASE}/gzip"))


@scenario
def redirects(session):
    followed = session.get(f"{BASE}/redirect?absolute=1")
    return [saw(followed), followed.url, saw(session.get(f"{BASE}/redirect", allow_redirects=False))]


@scenario
def no_body(session):
    return [saw(session.get(f"{BASE}/status/204")), saw(session.head(f"{BASE}/fixed")), saw(session.get(f"{BASE}/status/304"))]


@scenario
def expectation(session):
    return saw(session.post(f"{BASE}/echo", data=b"body", headers={"Expect": "100-continue"}))


@scenario
def refused_upload(session):
    return session.post(f"{BASE}/refuse", data=pattern(1000)).status_code


@scenario
def parallel(session):
    with ThreadPoolExecutor(16) as pool:
        return sorted(pool.map(lambda n: session.get(f"{BASE}/status/200?{n}").status_code, range(100)))


main(requests.Session())
