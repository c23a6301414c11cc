"""Which client is run against which upstream, and in which ways.

A row: the client's script, the upstream, what the client speaks, and the ways that sidepass speaks to the upstream:
`h1`, `h2c` (prior knowledge), `tls` (ALPN decides, which is HTTP/2 wherever the server has it), `tls-h1` (http2: off).
"""

MATRIX = (
    ("curl.py", "node", "h1", ("h1", "h2c", "tls", "tls-h1")),
    ("curl.py", "node", "h2", ("h1", "h2c", "tls")),
    ("curl_files.py", "nginx", "h1", ("h1", "h2c", "tls")),
    ("node_http.js", "node", "h1", ("h1", "h2c", "tls")),
    ("node_http2.js", "node", "h2", ("h1", "h2c", "tls")),
    ("undici.js", "node", "h1", ("h1", "tls")),
    ("requests_client.py", "node", "h1", ("h1", "tls")),
    ("httpx_client.py", "node", "h1", ("h1", "h2c")),
    ("httpx_client.py", "node", "h2", ("h1", "h2c", "tls")),
    ("aiohttp_client.py", "node", "h1", ("h1", "tls")),
    ("eventsource.js", "node", "h1", ("h1", "h2c", "tls")),
    ("httpx_sse_client.py", "node", "h2", ("h1", "h2c")),
    ("websockets_client.py", "node", "h1", ("h1", "tls", "tls-h1")),
    ("ws.js", "websockets", "h1", ("h1", "tls")),
    ("grpcio_client.py", "grpcio", "h2", ("h2c", "tls")),
    ("grpc_js.js", "grpcio", "h2", ("h2c", "tls")),
    ("git_client.py", "nginx", "h1", ("h1", "h2c", "tls")),
    ("wrk.py", "nginx", "h1", ("h1", "tls")),
    ("h2load.py", "nginx", "h1", ("h1",)),
    ("h2load.py", "nginx", "h2", ("h1", "h2c", "tls", "goaway")),
)
