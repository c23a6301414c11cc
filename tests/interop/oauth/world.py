"""What all rows share: names, keys, the servers of this run."""

import base64
import http.client
import secrets
import ssl
import urllib.parse

import refusals
import servers
from glewlwyd import Glewlwyd
from pki import Authority
from processes import free_port
from saml import SamlService
from servers import Server


class World:
    """Made before any server is started, so that rows can be written; then `.serve()` starts them."""

    # Of tokens for the resource; the number at the end of a path is their lifetime.
    resource = "https://api.example/"
    scopes = ("api:read", "api:write", "openid", "offline_access")
    eventually = staticmethod(servers.eventually)

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.authority = Authority(folder)
        self._ports = {"plain": free_port(), "mutual": free_port()}
        self.issuer = f"https://localhost:{self._ports['plain']}"
        self.mutual = f"https://localhost:{self._ports['mutual']}"
        self.glewlwyd = Glewlwyd(folder, self.authority)
        self.saml = SamlService()
        self.password = secrets.token_urlsafe(12)
        # Issuers whose JWTs are taken as assertions and subject tokens.
        self.trusted = []
        # Every `jti` that sidepass has used.
        self.jtis = set()

    def resource_of(self, seconds):
        """A resource whose tokens live so long."""
        return f"https://api.example/{seconds}s"

    def provider(self, rows):
        """oidc-provider, with the clients of the rows; its first line has a refresh token for every consent."""
        pair = self.authority.issue("provider", hosts=["localhost"])
        settings = {
            "key": pair.key_pem,
            "certificate": pair.certificate_pem,
            "authority": self.authority.pem,
            "ports": self._ports,
            "clients": [refusals.CLIENT, *(row.client for row in rows if row.client)],
            "consents": [
                {"client": row.client["client_id"], "account": row.consent, "resource": self.resource_of(5)}
                for row in rows
                if row.consent
            ],
            "scopes": self.scopes,
            "algorithms": [kind + size for kind in ("HS", "RS", "PS", "ES") for size in ("256", "384", "512")]
            + ["EdDSA", "Ed25519"],
            "resource": self.resource,
            "trusted": self.trusted,
            "passwords": {"grace": self.password},
        }
        return Server(self.folder, "provider.js", settings, self.authority.file)

    def protected(self, realms):
        """The resource."""
        pair = self.authority.issue("resource", hosts=["localhost"])
        settings = {"key": pair.key_pem, "certificate": pair.certificate_pem, "realms": realms}
        return Server(self.folder, "resource.js", settings, self.authority.file)

    def realms(self):
        """What tokens of oidc-provider, and of ourselves, the resource takes where."""
        api = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks", "audience": self.resource, "scope": ["api:read"]}
        return {
            "api": api,
            "api5": {**api, "audience": self.resource_of(5)},
            "orders": {**api, "audience": "https://orders.example/"},
            "writes": {**api, "scope": ["api:read", "api:write"]},
            "certificate": {**api, "bound": "certificate"},
            "dpop": {**api, "bound": "dpop"},
            "glewlwyd": self.glewlwyd.realm(),
            "glewlwyd-dpop": {**self.glewlwyd.realm(), "bound": "dpop"},
            "self": {**api, **self._of(self.self_signed)},
        }

    @staticmethod
    def _of(trusted):
        return {"issuer": trusted.issuer, "jwks_uri": None, "jwks": {"keys": [trusted.pair.jwk(kid=trusted.issuer)]}}

    def refresh(self, client, secret, token):
        """A token request of somebody else with a refresh token of ours; the answer's status."""
        context = ssl.create_default_context(cafile=self.authority.file)
        connection = http.client.HTTPSConnection("localhost", self._ports["plain"], timeout=10, context=context)
        basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
        body = urllib.parse.urlencode({"grant_type": "refresh_token", "refresh_token": token})
        try:
            connection.request("POST", "/token", body, headers)
            return connection.getresponse().status
        finally:
            connection.close()
