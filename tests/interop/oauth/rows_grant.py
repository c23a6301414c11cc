"""What a client asks oidc-provider for: resources, scopes, and every grant that needs no refresh token."""

import pathlib
import time
import uuid

from joserfc import jwt

import oracle
from row import Row, fails
from rows_client import SERVER, registered

BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
SECRET = "s3cret"


def row(world, what, variant, name, profile, expected=(), realm="api", grant="client_credentials", **more):
    """A row of a client with a plain secret, unless the profile says otherwise."""
    shown = more.pop("method", "client_secret_basic")
    secret = {} if shown == "none" else {"client_secret": SECRET}
    client = registered(name, shown, **secret, **{"grant_types": [grant], **more.pop("registration", {})})
    profile = {
        "token_service_url": f"{world.issuer}/token",
        "ca_file": world.authority.file,
        "scope": "api:read",
        "client_id": name,
        **secret,
        **profile,
    }
    profile = {name: value for name, value in profile.items() if value is not None}
    return Row(SERVER, what, variant, profile, realm, {"client_id": name, **dict(expected)}, client=client, **more)


def rows(world):
    """All of them."""
    yield from asked(world)
    yield from exchanges(world)
    yield from bearers(world)
    yield from others(world)


def asked(world):
    orders = "https://orders.example/"
    yield row(world, "resource", "aud", "resource", {"resource": orders}, {"aud": orders}, "orders")
    scopes = {"scope": ["api:read", "api:write"]}
    yield row(world, "scope", "list", "scopes", scopes, {"scope": "api:read api:write"}, "writes")
    discovered = {"token_service_url": None, "issuer": world.issuer}
    yield row(world, "issuer", "discovery", "discovered", discovered)


class Trusted:
    """An issuer whose JWTs the server takes, and its key."""

    def __init__(self, world, issuer, algorithm):
        self.issuer = issuer
        self.pair = world.authority.issue(issuer.removeprefix("https://"), algorithm)
        self.algorithm = algorithm
        world.trusted.append({"issuer": issuer, "jwks": {"keys": [self.pair.jwk(alg=algorithm, use="sig", kid=issuer)]}})

    def token(self, subject, audience, lifetime=600):
        """A JWT of it about `subject`."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": subject,
            "aud": audience,
            "iat": now,
            "exp": now + lifetime,
            "jti": uuid.uuid4().hex,
        }
        header = {"alg": self.algorithm, "kid": self.issuer}
        return jwt.encode(header, claims, self.pair.signing_key(), algorithms=[self.algorithm])


def exchanges(world):
    people = Trusted(world, "https://people.example", "ES256")

    def written(name):
        file = pathlib.Path(world.folder, f"{name}.jwt")
        file.write_text(people.token(name, world.issuer) + "\n", encoding="ascii")
        return {"file": str(file)}

    exchange = {"type": "oauth2_token_exchange", "subject_token_type": "jwt"}
    subject = {**exchange, "subject_token": written("alice")}
    what = "token exchange"
    yield row(world, what, "subject from a file", "exchange", subject, {"sub": "alice"}, grant=EXCHANGE)
    actor = {**subject, "actor_token": written("bob"), "actor_token_type": "jwt", "requested_token_type": "access_token"}
    yield row(world, what, "actor", "exchange-actor", actor, {"sub": "alice", "act": {"sub": "bob"}}, grant=EXCHANGE)
    orders = "https://orders.example/"
    audience = {**subject, "audience": orders}
    yield row(world, what, "audience", "exchange-audience", audience, {"sub": "alice", "aud": orders}, "orders", EXCHANGE)

    def callers(run):
        tokens = {name: people.token(name, world.issuer) for name in ("carol", "dave")}
        for _ in range(3):
            for name, token in tokens.items():
                run.expect(run.sidepass.claims(headers={"X-Caller": token}), sub=name)
        fails("every caller's token is asked for once", len(run.token_requests()) != 2)
        forged = tokens["carol"][:-4] + ("AAAA" if tokens["carol"][-4:] != "AAAA" else "BBBB")
        for header in ({}, {"X-Caller": forged}):
            status, answer = run.sidepass.call(headers=header)
            fails(f"a caller without a token of its own got {status} {answer}", status < 400)

    subject = {**exchange, "subject_token": {"header": "X-Caller"}}
    yield row(world, what, "subject of each caller", "exchange-callers", subject, grant=EXCHANGE, scenario=callers)


def bearers(world):
    for algorithm in ("RS256", "PS256", "ES256", "EdDSA"):
        issuer = f"https://{algorithm.lower()}.example"
        trusted = Trusted(world, issuer, algorithm)
        assertion = {
            "issuer": issuer,
            "subject": "robot",
            "audience": f"{world.issuer}/token",
            "algorithm": algorithm,
            "key_id": issuer,
        }
        profile = {
            "type": "oauth2_jwt_bearer",
            "client_authentication": "request_header",
            "key_pair": trusted.pair.setting(),
            "assertion": {**assertion, "claims": {"department": 7}},
        }
        claims = {"iss": issuer, "sub": "robot", "aud": f"{world.issuer}/token", "department": 7}
        check = oracle.assertions("assertion", trusted.pair.signing_key(), algorithm, claims, issuer)
        name = f"bearer-{algorithm}"
        yield row(world, "JWT bearer", algorithm, name, profile, {"sub": "robot"}, grant=BEARER, oracle=check)


def others(world):
    custom = {"grant_type": "account_credentials", "custom_parameters": {"body": {"account_id": "acme"}}}
    yield row(world, "custom grant", "account_credentials", "custom", custom, {"sub": "acme"}, grant="account_credentials")
    password = {"type": "oauth2_password", "username": "grace", "password": world.password}
    yield row(world, "password", "technical user", "password", password, {"sub": "grace"}, grant="password")
    yield from self_signed(world)


def self_signed(world):
    """The resource itself takes a JWT of ours: no server is between."""
    trusted = Trusted(world, "https://self.example", "ES256")
    world.self_signed = trusted
    profile = {
        "type": "self_signed_jwt",
        "key_pair": trusted.pair.setting(),
        "assertion": {
            "issuer": trusted.issuer,
            "subject": "robot",
            "audience": world.resource,
            "claims": {"scope": "api:read"},
            "key_id": trusted.issuer,
        },
    }
    yield Row(
        "none: jose at the resource", "self-signed JWT", "ES256", profile, "self", {"iss": trusted.issuer, "sub": "robot"}
    )
