"""How a client proves itself to oidc-provider: secrets, signed JWTs, a JWT from elsewhere, DPoP."""

import pathlib
import time
import uuid

from joserfc import jwt
from joserfc.jwk import OctKey

import oracle
from row import Row, fails

SERVER = "oidc-provider"
# What RFC 6749 §2.3.1 wants form-encoded, and more.
ODD_ID, ODD_SECRET = "sb-app!t1|svc!b$2%+", "s:e c+r%et&=/?~"
LONG_SECRET = "0123456789abcdef" * 5
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


def registered(client_id, method, **more):
    """A client of the server."""
    return {
        "client_id": client_id,
        "token_endpoint_auth_method": method,
        "grant_types": ["client_credentials"],
        "response_types": [],
        "redirect_uris": [],
        **more,
    }


def row(world, what, variant, client, profile, realm="api", **more):
    """A row with client credentials, whose token is of the client itself."""
    profile = {"token_service_url": f"{world.issuer}/token", "ca_file": world.authority.file, "scope": "api:read", **profile}
    profile = {"client_id": client["client_id"], **{name: value for name, value in profile.items() if value is not None}}
    expected = {"client_id": client["client_id"], "sub": client["client_id"], **more.pop("expected", {})}
    return Row(SERVER, what, variant, profile, realm, expected, client=client, **more)


def rows(world):
    """All of them."""
    return [
        *secrets(world),
        *secret_jwts(world),
        *key_jwts(world),
        *replaced_key(world),
        *foreign(world),
        *dpop(world),
    ]


def another(run, before):
    """The claims of a token other than the one before."""

    def ask():
        claims = run.expect(run.sidepass.claims())
        return claims if claims["jti"] != before["jti"] else None

    return run.world.eventually("another token", 10, ask)


def secrets(world):
    for what, method, placement in (
        ("client_secret_basic", "client_secret_basic", "request_header"),
        ("client_secret_post", "client_secret_post", "body_parameter"),
    ):
        for variant, name, secret in (
            ("plain", f"plain-{method}", "s3cret"),
            ("special characters", f"{ODD_ID}{method}", ODD_SECRET),
        ):
            client = registered(name, method, client_secret=secret)
            yield row(world, what, variant, client, {"client_secret": secret, "client_authentication": placement})

    client = registered("rotated", "client_secret_basic", client_secret="the-new-one")
    secret = {"current": "the-old-one", "next": "the-new-one"}

    def one_refused(run):
        statuses = [request.status for request in run.token_requests()]
        fails(f"statuses are {statuses}", statuses != [401, 200])

    yield row(world, "client_secret_basic", "current and next", client, {"client_secret": secret}, oracle=one_refused)


def secret_jwts(world):
    for algorithm in ("HS256", "HS384", "HS512"):
        name = f"secret-{algorithm}"
        client = registered(name, "client_secret_jwt", client_secret=LONG_SECRET, token_endpoint_auth_signing_alg=algorithm)
        profile = {
            "client_secret": LONG_SECRET,
            "client_authentication": "client_secret_jwt",
            "client_assertion": {"algorithm": algorithm},
        }
        claims = {"iss": name, "sub": name, "aud": f"{world.issuer}/token"}
        check = oracle.assertions("client_assertion", OctKey.import_key(LONG_SECRET), algorithm, claims)
        yield row(world, "client_secret_jwt", algorithm, client, profile, oracle=check)


def key_jwts(world):
    def one(variant, algorithm, options, key_id=None, thumbprints=None, lifetime=300, endpoint=None, audience=None, **key):
        name = f"key-{variant.replace(' ', '-').replace('#', '')}"
        pair = world.authority.issue(name, algorithm, **key)
        more = {"kid": key_id} if key_id else {}
        client = registered(
            name,
            "private_key_jwt",
            token_endpoint_auth_signing_alg=algorithm,
            jwks={"keys": [pair.jwk(use="sig", alg=algorithm, **more)]},
        )
        profile = {
            "client_authentication": "private_key_jwt",
            "key_pair": pair.setting(),
            "client_assertion": {**options, **({"key_id": key_id} if key_id else {})},
            **(endpoint or {}),
        }
        claims = {"iss": name, "sub": name, "aud": audience or f"{world.issuer}/token"}
        found = oracle.sha1_and_sha256(pair)
        wanted = {kind: found[kind] for kind in thumbprints or ()}
        check = oracle.assertions("client_assertion", pair.signing_key(), algorithm, claims, key_id, wanted, lifetime)
        return row(world, "private_key_jwt", variant, client, profile, oracle=check)

    for algorithm in ALGORITHMS:
        yield one(algorithm, algorithm, {"algorithm": algorithm})
    yield one("the key says which", "ES256", {})
    yield one("PKCS#1 key", "RS256", {"algorithm": "RS256"}, pkcs1=True)
    yield one("kid", "ES256", {"algorithm": "ES256"}, key_id="of-this-year")
    yield one("x5t", "RS256", {"algorithm": "RS256", "thumbprint": "x5t"}, thumbprints=["x5t"])
    yield one("x5t#S256", "PS256", {"algorithm": "PS256", "thumbprint": "x5t#S256"}, thumbprints=["x5t#S256"])
    yield one("both thumbprints", "ES384", {"thumbprint": "both"}, thumbprints=["x5t", "x5t#S256"])
    yield one("own lifetime", "ES256", {"lifetime": "40s"}, lifetime=40)
    yield one("own audience", "ES256", {"audience": world.issuer}, audience=world.issuer)
    discovered = {"token_service_url": None, "issuer": world.issuer}
    yield one("discovery", "ES256", {}, endpoint=discovered, audience=world.issuer)


def replaced_key(world):
    pairs = [world.authority.issue(f"rotated-key-{number}", "ES256") for number in range(2)]

    def replaced(run):
        first = run.expect(run.sidepass.claims())
        pairs[0].become(pairs[1])
        another(run, first)
        requests = run.token_requests()
        for request, pair in ((requests[0], pairs[0]), (requests[-1], pairs[1])):
            oracle.read(request.form["client_assertion"], pair.signing_key(), "ES256")

    keys = [pair.jwk(use="sig", alg="ES256") for pair in pairs]
    client = registered("rotated-key", "private_key_jwt", jwks={"keys": keys})
    profile = {"client_authentication": "private_key_jwt", "key_pair": pairs[0].setting(), "resource": world.resource_of(5)}
    expected = {"aud": world.resource_of(5)}
    yield row(
        world, "private_key_jwt", "files that are replaced", client, profile, "api5", scenario=replaced, expected=expected
    )


def foreign(world):
    """A JWT that somebody else puts into a file, again and again: each is good for one request."""
    pair = world.authority.issue("foreign", "RS256")
    client = registered("workload", "private_key_jwt", jwks={"keys": [pair.jwk(use="sig", alg="RS256")]})
    file = pathlib.Path(world.folder, "assertion.jwt")

    def write():
        now = int(time.time())
        claims = {
            "iss": "workload",
            "sub": "workload",
            "aud": world.issuer,
            "iat": now,
            "exp": now + 600,
            "jti": uuid.uuid4().hex,
        }
        fresh = file.with_suffix(".new")
        fresh.write_text(jwt.encode({"alg": "RS256"}, claims, pair.signing_key()) + "\n", encoding="ascii")
        fresh.replace(file)

    write()

    def renewed(run):
        first = run.expect(run.sidepass.claims())
        write()
        another(run, first)
        shown = {request.form["client_assertion"] for request in run.token_requests() if request.status == 200}
        fails("the file was not read again", len(shown) < 2)

    profile = {"client_assertion": {"file": str(file)}, "resource": world.resource_of(5)}
    yield row(
        world,
        "client_assertion",
        "file that is replaced",
        client,
        profile,
        "api5",
        scenario=renewed,
        expected={"aud": world.resource_of(5)},
    )


def dpop(world):
    def calls(run):
        # A nonce of the resource is good for a few proofs: it is asked for a new one in between.
        for number in range(12):
            run.expect(run.sidepass.claims(f"/{number}?q={number}"))
        run.expect(run.sidepass.claims("/write?a=b", "POST", {"Content-Type": "text/plain"}, b"body"))

    def one(variant, setting, algorithm):
        client = registered(
            f"dpop-{variant.replace(' ', '-')}", "client_secret_basic", client_secret="s3cret", dpop_bound_access_tokens=True
        )
        profile = {"client_secret": "s3cret", "dpop": setting}
        return row(
            world,
            "DPoP, nonces of both sides",
            variant,
            client,
            profile,
            "dpop",
            scenario=calls,
            oracle=oracle.proofs(algorithm),
        )

    yield one("own key", True, "ES256")
    for algorithm in ("ES384", "PS256", "EdDSA"):
        pair = world.authority.issue(f"dpop-{algorithm}", algorithm)
        yield one(algorithm, {"private_key": {"file": pair.key_file}, "algorithm": algorithm}, algorithm)
