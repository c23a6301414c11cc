"""Shows first that the resource refuses what it must: a resource that takes anything would prove nothing."""

import hashlib
import http.client
import json
import ssl
import time
import urllib.parse
import uuid
from base64 import b64encode, urlsafe_b64encode

from joserfc import jwt
from joserfc.jwk import ECKey

from processes import Failure

CLIENT = {
    "client_id": "by-hand",
    "client_secret": "s3cret",
    "token_endpoint_auth_method": "client_secret_basic",
    "grant_types": ["client_credentials"],
    "response_types": [],
    "redirect_uris": [],
}


class ByHand:
    """A client as simple as can be, without sidepass."""

    def __init__(self, world, resource):
        self._context = ssl.create_default_context(cafile=world.authority.file)
        self._issuer, self._resource = world.issuer, resource
        self._key = ECKey.generate_key("P-256")

    def _ask(self, url, method, headers, body=None):
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=10, context=self._context)
        try:
            connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers)
            response = connection.getresponse()
            return response.status, response.getheader("DPoP-Nonce"), json.loads(response.read())
        finally:
            connection.close()

    def proof(self, url, method, nonce, token=None, **other):
        """A DPoP proof; `other` claims replace right ones."""
        claims = {"htm": method, "htu": url, "iat": int(time.time()), "jti": uuid.uuid4().hex}
        if nonce:
            claims["nonce"] = nonce
        if token:
            digest = hashlib.sha256(token.encode()).digest()
            claims["ath"] = urlsafe_b64encode(digest).rstrip(b"=").decode()
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self._key.as_dict(private=False)}
        return jwt.encode(header, {**claims, **other}, self._key)

    def token(self, bound=False):
        """A token, bound to our key or to nothing."""
        url, nonce = f"{self._issuer}/token", None
        basic = b64encode(f"{CLIENT['client_id']}:{CLIENT['client_secret']}".encode()).decode()
        for _ in range(2):
            headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
            if bound:
                headers["DPoP"] = self.proof(url, "POST", nonce)
            status, nonce, answer = self._ask(url, "POST", headers, "grant_type=client_credentials&scope=api:read")
            if status == 200:
                return answer["access_token"]
        raise Failure(f"no token by hand: {answer}")

    def call(self, realm, authorization, proof=None):
        """The resource's status, error and nonce."""
        headers = {"Authorization": authorization} if authorization else {}
        status, nonce, answer = self._ask(self.url(realm), "GET", headers | ({"DPoP": proof} if proof else {}))
        return status, answer.get("error"), nonce

    def url(self, realm):
        """Where a realm is."""
        return f"{self._resource}/{realm}/thing"


def check(world, resource):
    """Fails when the resource takes what it must refuse, or refuses what is right."""
    hand = ByHand(world, resource)
    plain, bound = hand.token(), hand.token(bound=True)
    head, claims, signature = plain.split(".")
    forged = ".".join([head, claims, signature[:-8] + ("AAAAAAAA" if signature[-8:] != "AAAAAAAA" else "BBBBBBBB")])
    _expect("a right token", hand.call("api", f"Bearer {plain}"), 200, None)
    for what, realm, authorization, status, error in (
        ("no token", "api", None, 401, "invalid_request"),
        ("a forged token", "api", f"Bearer {forged}", 401, "invalid_token"),
        ("a token for another audience", "orders", f"Bearer {plain}", 401, "invalid_token"),
        ("a token of another issuer", "glewlwyd", f"Bearer {plain}", 401, "invalid_token"),
        ("too little scope", "writes", f"Bearer {plain}", 403, "insufficient_scope"),
        ("no certificate", "certificate", f"Bearer {plain}", 401, "invalid_token"),
        ("an unbound token", "dpop", f"Bearer {plain}", 401, "invalid_token"),
        ("a bound token as Bearer", "dpop", f"Bearer {bound}", 401, "invalid_token"),
        ("a bound token without a proof", "dpop", f"DPoP {bound}", 401, "invalid_dpop_proof"),
    ):
        _expect(what, hand.call(realm, authorization), status, error)
    _proofs(hand, bound)


def _proofs(hand, token):
    url = hand.url("dpop")

    def call(proof):
        return hand.call("dpop", f"DPoP {token}", proof)

    def right(**other):
        nonce = call(hand.proof(url, "GET", None, token))[2]
        return hand.proof(url, "GET", nonce, token, **other)

    _expect("a proof without a nonce", call(hand.proof(url, "GET", None, token)), 401, "use_dpop_nonce")
    proof = right()
    _expect("a right proof", call(proof), 200, None)
    _expect("the same proof again", call(proof), 401, "invalid_dpop_proof")
    for what, other in (
        ("a proof for another method", {"htm": "POST"}),
        ("a proof for another URL", {"htu": hand.url("api")}),
        ("a proof for another token", {"ath": "x" * 43}),
        ("an old proof", {"iat": int(time.time()) - 600}),
    ):
        _expect(what, call(right(**other)), 401, "invalid_dpop_proof")


def _expect(what, found, status, error):
    if found[:2] != (status, error):
        raise Failure(f"the resource says {found[:2]} to {what}, not {(status, error)}")
