"""The mock token endpoint: RFC 6749 §4.4 answers whose tokens the harness can recognise again."""

import http.server
import itertools
import json
import threading

# A bearer value as long as a common JWT; `Bearer ` makes it 443 bytes.
TOKEN_LENGTH = 436
PREFIX = "bench-"


def token(number):
    """The text of token `number`; every one is as long as the others."""
    return f"{PREFIX}{number}-".ljust(TOKEN_LENGTH, "x")


class TokenService:
    """Issues tokens on a loopback port; `lifetime` (seconds) may be changed while it runs."""

    def __init__(self):
        self.lifetime = 3600
        self.issued = set()
        self._numbers = itertools.count(1)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.request_queue_size = 1024
        self._server.socket.listen(1024)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self):
        """The port it listens on."""
        return self._server.server_address[1]

    def issue(self):
        """A new token, for the peers that cannot fetch one."""
        text = token(next(self._numbers))
        self.issued.add(text)
        return text

    def close(self):
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(service):  # noqa: N805  the handler's self is another one
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # noqa: N802
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                answer = {"access_token": service.issue(), "token_type": "Bearer", "expires_in": service.lifetime}
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler
