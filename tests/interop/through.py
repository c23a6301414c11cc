"""A sidepass in front of one upstream, with a profile and a secure parameter: what it injects is known here."""

import http.client
import json
import pathlib

from processes import Failure, Sidepass, free_port
from services import wait_for

KEY = "interop-key"
# What every request through sidepass carries, and none that goes direct.
INJECTED = {"authorization": "Bearer smoke-", "x-interop": KEY}


class Through(Sidepass):
    """`run` with one route; `url` and `unix` are where callers reach it."""

    def __init__(self, binary, folder, service, kind, ca_file, token_service_url):
        port, self._admin = free_port(), free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.unix = str(pathlib.Path(folder, f"{service.name}-{kind}.sock"))
        self.upstream = service.url("tls" if kind == "tls-h1" else kind)
        route = {"upstream": self.upstream, "profile": "interop", "headers": {"X-Interop": "{key}"}}
        if self.upstream.startswith("https:"):
            route["ca_file"] = ca_file
        # By default the upstream says by ALPN what it speaks.
        if kind in ("h2c", "goaway"):
            route["http2"] = "prior_knowledge"
        elif kind == "tls-h1":
            route["http2"] = "off"
        config = {
            "proxy": {"listen": [f"localhost:{port}", f"unix:{self.unix}"]},
            "admin": {"listen": f"localhost:{self._admin}"},
            "log": {"level": "warn"},
            "profiles": {
                "interop": {
                    "token_service_url": f"{token_service_url}/token",
                    "client_id": "interop",
                    "client_secret": {"env": "INTEROP_SECRET"},
                }
            },
            "secure_parameters": {"key": {"env": "INTEROP_KEY"}},
            "routes": {"all": route},
        }
        file = pathlib.Path(folder, f"{service.name}-{kind}.yaml")
        file.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        super().__init__(binary, "run", "--config", str(file), INTEROP_SECRET="interop-secret", INTEROP_KEY=KEY)

    def __enter__(self):
        super().__enter__()
        try:
            wait_for(self._is_ready, self.process, "sidepass")
        except Failure as failure:
            self.__exit__()
            raise Failure(f"{failure}: {self.text()}") from None
        return self

    def _is_ready(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._admin, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()
