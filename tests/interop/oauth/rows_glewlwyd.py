"""What glewlwyd is asked for: its clients, its user, and how they prove themselves."""

import pathlib

import browser
from processes import free_port
from row import Row
from rows_refresh import collected

SERVER = "glewlwyd"
SECRET = "0123456789abcdef" * 4
ODD_SECRET = "s:e c+r%et&=/?~"


def row(
    world, what, variant, name, method, profile, realm="glewlwyd", grants=("client_credentials",), registration=None, **more
):
    """A row of a client with a secret, and a key where it needs one."""
    client = {
        "client_id": name,
        "authorization_type": list(grants),
        "token_endpoint_auth_method": [method],
        **({} if method == "private_key_jwt" else {"client_secret": SECRET, "password": SECRET}),
        **(registration or {}),
    }
    profile = {"token_service_url": f"{world.glewlwyd.issuer}/token", "client_id": name, "scope": "api", **profile}
    profile = {name: value for name, value in profile.items() if value is not None}
    return Row(SERVER, what, variant, profile, realm, {"client_id": name, **more.pop("expected", {})}, client=client, **more)


def rows(world):
    """All of them."""
    secret = {"client_secret": SECRET}
    yield row(world, "client_secret_basic", "plain", "basic", "client_secret_basic", secret)
    in_body = {**secret, "client_authentication": "body_parameter"}
    yield row(world, "client_secret_post", "plain", "post", "client_secret_post", in_body)
    odd = {"client_secret": ODD_SECRET, "client_authentication": "body_parameter"}
    registration = {"client_secret": ODD_SECRET, "password": ODD_SECRET}
    yield row(
        world, "client_secret_post", "special characters", "post-odd", "client_secret_post", odd, registration=registration
    )
    # It takes Basic as RFC 7617 has it, without the encoding of RFC 6749.
    raw = {"client_secret": ODD_SECRET, "basic_encoding": "raw"}
    yield row(
        world, "client_secret_basic", "special characters (raw)", "raw", "client_secret_basic", raw, registration=registration
    )
    for algorithm in ("HS256", "HS512"):
        name = f"secret-{algorithm}"
        signed = {**secret, "client_authentication": "client_secret_jwt", "client_assertion": {"algorithm": algorithm}}
        yield row(world, "client_secret_jwt", algorithm, name, "client_secret_jwt", signed)
    for algorithm in ("RS256", "PS256", "ES256", "ES384", "EdDSA"):
        name = f"key-{algorithm}"
        pair = world.authority.issue(f"glewlwyd-{algorithm}", algorithm)
        signed = {
            "client_authentication": "private_key_jwt",
            "key_pair": pair.setting(),
            "client_assertion": {"algorithm": algorithm, "key_id": name},
        }
        registration = {"jwks": {"keys": [pair.jwk(kid=name, alg=algorithm)]}}
        yield row(world, "private_key_jwt", algorithm, name, "private_key_jwt", signed, registration=registration)
    discovered = {**secret, "token_service_url": None, "issuer": world.glewlwyd.issuer}
    yield row(world, "issuer", "discovery", "discovered", "client_secret_basic", discovered)
    bound = {**secret, "dpop": True}
    yield row(world, "DPoP, nonce of the resource", "own key", "dpop", "client_secret_basic", bound, "glewlwyd-dpop")
    yield from of_a_user(world)


def of_a_user(world):
    user = {"type": "oauth2_password", "username": "heidi", "password": world.password, "client_secret": SECRET}
    yield row(world, "password", "technical user", "password", "client_secret_basic", user, grants=["password"])

    def rotates(run):
        seen = set()
        world.eventually("three tokens", 15, lambda: collected(run, seen) > 2)

    file, state = (pathlib.Path(world.folder, f"glewlwyd.{end}") for end in ("refresh", "state"))
    refresh = {
        "type": "oauth2_refresh_token",
        "refresh_token": {"file": str(file)},
        "state_file": str(state),
        "client_secret": SECRET,
        "scope": None,
    }

    def prepare():
        file.write_text(world.glewlwyd.refresh_token("refresh", SECRET, "heidi", world.password), encoding="ascii")

    yield row(
        world,
        "refresh token",
        "rotation",
        "refresh",
        "client_secret_basic",
        refresh,
        grants=["password", "refresh_token"],
        scenario=rotates,
        prepare=prepare,
    )

    yield from of_consent(world)


def of_consent(world):
    port = free_port()

    def consents(url):
        return world.glewlwyd.consent(url, "code", "api", "heidi", world.password)

    def authorizes(run):
        browser.authorize(run, consents)
        with run.sidepass:
            run.sidepass.ready()
            seen = set()
            world.eventually("a renewed token", 15, lambda: collected(run, seen) > 1)

    profile = {
        "type": "oauth2_authorization_code",
        "authorization_url": f"{world.glewlwyd.issuer}/auth",
        "state_file": str(pathlib.Path(world.folder, "glewlwyd-code.state")),
        "client_secret": SECRET,
        "scope": "api",
        "redirect_port": port,
    }
    registration = {"redirect_uri": [f"http://127.0.0.1:{port}/callback"]}
    yield row(
        world,
        "authorization code",
        "confidential client",
        "code",
        "client_secret_basic",
        profile,
        grants=["code", "refresh_token"],
        scenario=authorizes,
        registration=registration,
        by_hand=True,
    )
