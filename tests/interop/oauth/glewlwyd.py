"""Debian's glewlwyd: an authorization server in C, set up through its own API."""

import base64
import contextlib
import gzip
import json
import os
import pathlib
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from processes import Failure, environment, free_port
from servers import end, eventually

START_SECONDS = 10
# Where ../run found what its package documents.
_DOCUMENTS = pathlib.Path(os.environ.get("SIDEPASS_GLEWLWYD", "/"), "usr/share/doc/glewlwyd")
_ADMINISTRATOR = {"username": "admin", "password": "password"}  # of its own schema


class Glewlwyd:
    """One server with clients, scopes and a user. Use as a context."""

    def __init__(self, folder, authority, binary="glewlwyd"):
        self._folder = pathlib.Path(folder, "glewlwyd")
        self._binary, self._authority = binary, authority
        self._port = free_port()
        self._origin = f"http://localhost:{self._port}"
        self._session = ""
        self.issuer = f"{self._origin}/api/oidc"

    def start(self, clients, users):
        """Starts it and tells it who there is; a context that ends it."""
        self._folder.mkdir()
        database = self._folder / "glewlwyd.db"
        schema = gzip.decompress((_DOCUMENTS / "database" / "init.sqlite3.sql.gz").read_bytes())
        subprocess.run(["sqlite3", str(database)], input=schema, check=True, stdout=subprocess.DEVNULL)
        settings = gzip.decompress((_DOCUMENTS / "glewlwyd.conf.sample.gz").read_bytes()).decode()
        for name, value in {
            "port": self._port,
            "external_url": f'"{self._origin}"',
            "cookie_secure": 0,
        }.items():
            settings, found = re.subn(rf"^#?{name}=.*$", f"{name}={value}", settings, count=1, flags=re.MULTILINE)
            if not found:
                raise Failure(f"glewlwyd's sample configuration has no {name}")
        settings = settings.replace("/var/cache/glewlwyd/glewlwyd.db", str(database))
        file = self._folder / "glewlwyd.conf"
        file.write_text(f'bind_address="127.0.0.1"\n{settings}', encoding="utf-8")
        return self._running(file, clients, users)

    @contextlib.contextmanager
    def _running(self, file, clients, users):
        log = self._folder / "glewlwyd.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self._binary, "-c", str(file)], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment()
            )
        try:
            self._api = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            try:
                eventually("glewlwyd starts", START_SECONDS, self._answers)
                self._set_up(clients, users)
            except Failure as failure:
                raise Failure(f"{failure}\n{log.read_text(errors='replace')[-2000:]}") from None
            yield self
        finally:
            end(process)

    def _answers(self):
        try:
            return self._send("auth/", _ADMINISTRATOR)
        except OSError:
            return False

    def _send(self, path, value, method="POST"):
        """A request to its API; true, or a `Failure`."""
        headers = {"Content-Type": "application/json", "Cookie": self._session}
        request = urllib.request.Request(f"{self._origin}/api/{path}", json.dumps(value).encode(), headers, method=method)
        try:
            with self._api.open(request, timeout=10) as response:
                # Of the domain "localhost", which Python's cookie jar does not take.
                self._session = response.headers.get("Set-Cookie", self._session).split(";")[0]
                return True
        except urllib.error.HTTPError as error:
            raise Failure(f"glewlwyd: {path}: {error.code} {error.read()[:500]}") from None

    def _set_up(self, clients, users):
        self._send("mod/plugin/", self._plugin())
        self._send("scope/", {"name": "api", "display_name": "api", "password_required": False, "scheme": {}})
        for user in users:
            self._send("user/", {**user, "enabled": True, "scope": ["api", "openid"]})
        for client in clients:
            self._send(
                "client/",
                {
                    "confidential": True,
                    "enabled": True,
                    "scope": ["api", "openid"],
                    "redirect_uri": ["http://localhost/"],
                    **client,
                },
            )

    def _plugin(self):
        pair = self._authority.issue("glewlwyd", "RS256")
        key = {**pair.signing_key().as_dict(private=True), "kid": "glewlwyd", "alg": "RS256"}
        parameters = {
            "iss": self.issuer,
            "jwks-private": json.dumps({"keys": [key]}),
            "default-kid": "glewlwyd",
            "access-token-duration": 6,
            "refresh-token-duration": 3600,
            "code-duration": 60,
            "refresh-token-rolling": True,
            "refresh-token-one-use": "always",
            "allow-non-oidc": True,
            "auth-type-client-enabled": True,
            "auth-type-code-enabled": True,
            "auth-type-password-enabled": True,
            "auth-type-refresh-enabled": True,
            "auth-type-id-token-enabled": True,
            "pkce-allowed": True,
            "request-parameter-allow": True,
            "request-maximum-exp": 3600,
            "client-pubkey-parameter": "pubkey",
            "client-jwks-parameter": "jwks",
            "client-jwks_uri-parameter": "jwks_uri",
            "jwks-show": True,
            "secret-type": "pairwise",
            "address-claim": {"type": "no"},
            "name-claim": "no",
            "email-claim": "no",
            "scope-claim": "no",
            "oauth-dpop-allowed": True,
            "oauth-dpop-iat-duration": 60,
            "client-cert-source": "no",
        }
        return {"module": "oidc", "name": "oidc", "display_name": "OIDC", "enabled": True, "parameters": parameters}

    def refresh_token(self, client, secret, user, password):
        """A refresh token for a user's password."""
        form = {"grant_type": "password", "username": user, "password": password, "scope": "api"}
        basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
        request = urllib.request.Request(
            f"{self.issuer}/token", urllib.parse.urlencode(form).encode(), {"Authorization": f"Basic {basic}"}
        )
        with self._api.open(request, timeout=10) as response:
            return json.load(response)["refresh_token"]

    def consent(self, url, client, scope, user, password):
        """What its pages do when a user signs in and consents; the answer of the client's redirect."""
        self._send("auth/", {"username": user, "password": password})
        self._send(f"auth/grant/{client}", {"scope": scope}, "PUT")
        # Its sign-in page comes back with this.
        request = urllib.request.Request(f"{url}&g_continue", headers={"Cookie": self._session})
        try:
            with self._api.open(request, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, f"{error.url.split('?')[0]}: {error.read().decode()}"

    def realm(self):
        """What the resource takes of it."""
        return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks", "scope": ["api"]}
