"""A token service and an API on loopback, as small as they can be. They run in a process of their own.

The token service answers anything that asks with a fresh opaque token. The API answers 200 when the request carries a token
that the token service gave out, else 401.
"""

import http.server
import itertools
import json
import multiprocessing
import threading


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    numbers = itertools.count(1)
    given = set()

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = f"smoke-{next(self.numbers)}"
        self.given.add(f"Bearer {token}")
        self._answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600})

    def do_GET(self):
        known = self.headers.get("Authorization") in self.given
        self._answer(200 if known else 401, {"known": known})

    def _answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def _serve(pipe):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pipe.send(server.server_address[1])
    pipe.recv()  # until the other side closes it


class StandIns:
    """Both in one server: POST asks for a token, GET is the API. Use as a context; `.url` is its origin."""

    def __enter__(self):
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        self.url = f"http://127.0.0.1:{self._pipe.recv()}"
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.join()
