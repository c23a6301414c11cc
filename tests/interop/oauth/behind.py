"""A sidepass with one profile and one route to the protected resource, and the plain requests that a caller sends it."""

import http.client
import json
import pathlib

from processes import Failure, Sidepass, free_port
from servers import eventually

READY_SECONDS = 8
CALL_SECONDS = 15


class Behind(Sidepass):
    """`sidepass run`. `folder` is where its files are; `.call()` is what an app does."""

    def __init__(self, binary, folder, upstream, profile, route, authority_file):
        self._port, self._admin = free_port(), free_port()
        self.folder = pathlib.Path(folder)
        config = {
            "proxy": {"listen": f"127.0.0.1:{self._port}"},
            "admin": {"listen": f"127.0.0.1:{self._admin}"},
            "log": {"level": "info", "format": "text"},
            "profiles": {"interop": profile},
            "routes": {"all": {"upstream": upstream, "profile": "interop", "ca_file": authority_file, **route}},
        }
        self.file = self.folder / "proxy.yaml"
        self.file.write_text(json.dumps(config, indent=1), encoding="utf-8")  # JSON is YAML
        super().__init__(binary, "run", "--config", str(self.file))

    def ready(self, seconds=READY_SECONDS):
        """Waits for the first token."""
        eventually("sidepass is ready", seconds, self._is_ready)

    def _is_ready(self):
        if self.process.poll() is not None:
            raise Failure(f"sidepass ended with exit code {self.process.returncode}:\n{self.text()}")
        try:
            return self._ask(self._admin, "GET", "/readyz", {}, None)[0] == 200
        except OSError:
            return False

    def status(self):
        """What the status page says of the profile."""
        try:
            _, body = self._ask(self._admin, "GET", "/status", {"Accept": "application/json"}, None)
            return body.decode()
        except OSError as error:
            return str(error)

    def call(self, path="/", method="GET", headers=None, body=None):
        """A plain request through the proxy: status, and the answer's JSON."""
        status, body = self._ask(self._port, method, path, headers or {}, body)
        try:
            return status, json.loads(body)
        except ValueError:
            return status, {"body": body[:300].decode(errors="replace")}

    def claims(self, path="/", method="GET", headers=None, body=None):
        """The claims of the token that the resource took for this request; fails when it took none."""
        status, answer = self.call(path, method, headers, body)
        if status != 200:
            raise Failure(f"{method} {path}: {status} {answer}")
        return answer["claims"]

    @staticmethod
    def _ask(port, method, path, headers, body):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_SECONDS)
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
