"""curl: methods, heads, expectations, uploads."""

import tempfile

from curl_command import curl
from report import BASE, PROTOCOL, UNIX, main, pattern, scenario

# Debian's curl 7.88 fails where it uses a connection of HTTP/2 by prior knowledge again, whatever the server.
REUSES = PROTOCOL == "h1"


@scenario
def get():
    return curl(f"{BASE}/fixed")


@scenario
def get_echo():
    return curl("-H", "X-Twice: one", "-H", "X-Twice: two", "-H", "X-Empty;", "-b", "a=1; b=2", f"{BASE}/echo?q=1&r=%20+%C3%A9&&=")


@scenario
def obs_text():
    return curl("-H", b"X-Obs: caf\xe9".decode("latin-1").encode("latin-1"), f"{BASE}/echo")


@scenario
def unusual_paths():
    return [curl("--path-as-is", f"{BASE}/echo{rest}") for rest in ("/a//b/", "/~x/a+b%20c", "/%E4%B8%AD", "/a.b/..c", "/?", "?a?b=/..")]


@scenario
def head():
    return curl("-I", f"{BASE}/fixed")


@scenario
def options():
    return curl("-X", "OPTIONS", f"{BASE}/echo")


@scenario
def unusual_method():
    return curl("-X", "PROPFIND", "-H", "Depth: 1", "-d", "<x/>", f"{BASE}/echo")


@scenario
def statuses():
    return [curl(f"{BASE}/status/{code}") for code in (201, 204, 206, 304, 400, 404, 409, 418, 429, 500, 502, 503)]


@scenario
def head_of_errors():
    return [curl("-I", f"{BASE}/status/{code}") for code in (204, 304, 404, 503)]


@scenario
def redirect_not_followed():
    return curl(f"{BASE}/redirect")


@scenario
def redirect_to_itself():
    return curl(f"{BASE}/redirect?absolute=1")


@scenario
def redirects_followed():
    if not REUSES:
        return None
    return [curl("-L", f"{BASE}/redirect"), curl("-L", f"{BASE}/redirect?absolute=1")]


@scenario
def delete_with_body():
    return curl("-X", "DELETE", "-d", "why", f"{BASE}/echo")


@scenario
def post_form():
    return curl("-d", "a=1&b=2", f"{BASE}/echo")


@scenario
def post_empty():
    return curl("-X", "POST", "-d", "", f"{BASE}/echo")


@scenario
def post_multipart():
    boundary = "Content-Type: multipart/form-data; boundary=interop"
    text = b'--interop\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\nabc\r\n--interop--\r\n'
    return curl("-H", boundary, "--data-binary", "@-", f"{BASE}/echo", data=text)


@scenario
def upload_file():
    with tempfile.NamedTemporaryFile() as file:
        file.write(pattern(1 << 20))
        file.flush()
        return curl("-T", file.name, f"{BASE}/echo/file.bin")


@scenario
def large_upload_without_expect():
    with tempfile.NamedTemporaryFile() as file:
        file.write(pattern((100 if PROTOCOL == "h1" else 20) << 20))
        file.flush()
        return curl("-H", "Expect:", "-T", file.name, f"{BASE}/echo/file.bin")


@scenario
def upload_chunked():
    return curl("-T", "-", f"{BASE}/echo/file.bin", data=pattern(2 << 20))


@scenario
def expect_is_answered():
    return curl("-H", "Expect: 100-continue", "--expect100-timeout", "10", "-d", "small", f"{BASE}/echo")


@scenario
def expect_is_refused():
    # With HTTP/2 curl does not wait, so what it has sent by then is chance.
    if PROTOCOL == "h2":
        return None
    return curl("-H", "Expect: 100-continue", "--expect100-timeout", "10", "--data-binary", "@-", f"{BASE}/refuse", data=pattern(200_000))


@scenario
def gzip_as_it_is():
    return curl("-H", "Accept-Encoding: gzip", f"{BASE}/gzip")


@scenario
def gzip_unpacked():
    return curl("--compressed", f"{BASE}/gzip")


@scenario
def slow():
    return curl("-N", f"{BASE}/slow")


@scenario
def download_1_mib():
    return curl(f"{BASE}/bytes?n=1048576")


@scenario
def download_chunked():
    return curl(f"{BASE}/bytes?n=5000000&chunked=1")


@scenario
def answer_with_trailers():
    return curl(f"{BASE}/trailers")


@scenario
def connection_is_kept():
    if not REUSES:
        return None
    return curl(f"{BASE}/status/200", "-o", "/dev/null", f"{BASE}/fixed", "-w", "%{num_connects} ")


@scenario
def parallel():
    if not REUSES:
        return None
    seen = curl("--parallel", "--parallel-max", "20", "-w", "code %{http_code} ", *(f"{BASE}/status/200?{n}" for n in range(40)))
    return seen if "error" in seen else seen["written"].count("code 200")


@scenario
def unix_socket():
    return curl("--unix-socket", UNIX, "http://localhost/fixed") if PROTOCOL == "h1" else None


main()
