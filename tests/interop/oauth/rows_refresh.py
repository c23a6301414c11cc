"""Refresh tokens of oidc-provider: they rotate, and a person's consent brings the first one."""

import pathlib

import browser
from processes import free_port
from row import Run, fails
from rows_grant import SECRET, row


def rows(world):
    """All of them."""
    yield from renewals(world)
    yield from consents(world)


def collected(run, seen):
    """How many tokens were seen, with the one that is used now."""
    seen.add(run.expect(run.sidepass.claims())["jti"])
    return len(seen)


def renewals(world):
    lifetime = world.resource_of(5)

    def rotates(run: Run):
        """Three tokens, each for another refresh token; a restart goes on with the last one."""
        seen = set()
        for round_number in range(2):
            if round_number == 1:
                # Killed, not ended: what was not written by then is lost.
                run.sidepass.__exit__()
                run.sidepass.__enter__()
                run.sidepass.ready()
            world.eventually("two further tokens", 15, lambda wanted=2 + 2 * round_number: collected(run, seen) >= wanted)
        refreshes = [r.form["refresh_token"] for r in run.token_requests()]
        statuses = {r.status for r in run.token_requests()}
        fails(
            f"a refresh token was shown twice, or refused: {statuses}",
            len(set(refreshes)) != len(refreshes) or statuses != {200},
        )

    def stolen(run: Run):
        """Whoever uses an old refresh token makes the server revoke all: sidepass says so and does not go on for ever."""
        run.expect(run.sidepass.claims())
        first = run.token_requests()[0].form["refresh_token"]
        status = world.refresh("refresh-stolen", SECRET, first)
        fails(f"the server took an old refresh token: {status}", status != 400)
        world.eventually("the renewal fails", 15, lambda: sum(r.status == 400 for r in run.token_requests()) > 1)
        world.eventually("the status page says so", 5, lambda: "invalid_grant" in run.sidepass.status())

    for variant, name, method, scenario in (
        ("rotation over a restart", "refresh", "client_secret_basic", rotates),
        ("rotation of a public client", "refresh-public", "none", rotates),
        ("reuse is detected", "refresh-stolen", "client_secret_basic", stolen),
    ):
        profile = {
            "type": "oauth2_refresh_token",
            "refresh_token": {"file": str(pathlib.Path(world.folder, f"{name}.refresh"))},
            "state_file": str(pathlib.Path(world.folder, f"{name}.state")),
            "resource": lifetime,
            "scope": None,
            **({"client_authentication": "none"} if method == "none" else {}),
        }
        registration = {
            "grant_types": ["authorization_code", "refresh_token"],
            "redirect_uris": ["https://client.example/"],
            "response_types": ["code"],
        }
        yield row(
            world,
            "refresh token",
            variant,
            name,
            profile,
            {"sub": "erin", "aud": lifetime},
            "api5",
            method=method,
            consent="erin",
            scenario=scenario,
            registration=registration,
        )


def redeemed(run: Run):
    """The code came with PKCE, and what it brought is used."""
    run.expect(run.sidepass.claims())
    # What the server wants a nonce for comes twice.
    codes = [r for r in run.token_requests() if r.form.get("grant_type") == "authorization_code" and r.status == 200]
    fails("the code was not redeemed once with PKCE", len(codes) != 1 or len(codes[0].form.get("code_verifier", "")) < 43)


def consents(world):
    def frank(url):
        return browser.consent(url, "frank", world.authority.file)

    def before(run: Run):
        browser.authorize(run, frank)
        with run.sidepass:
            run.sidepass.ready()
            redeemed(run)

    def meanwhile(run: Run):
        """A running sidepass says that it needs consent, and takes up what consent brings."""
        with run.sidepass:
            world.eventually("the status page says so", 8, lambda: "unauthorized" in run.sidepass.status())
            status, answer = run.sidepass.call()
            fails(f"a request without consent got {status} {answer}", status != 503)
            browser.authorize(run, frank)
            run.sidepass.ready()
            redeemed(run)

    def restarted(run: Run):
        """RFC 9449 §5: the refresh token of a public client is good with its key alone."""
        before(run)
        with run.sidepass:
            run.sidepass.ready()
            run.expect(run.sidepass.claims())
        for request in run.token_requests():
            fails("a token request without a proof", "dpop" not in request.headers)

    key = world.authority.issue("code-dpop", "ES256")
    for variant, name, method, port, scenario in (
        ("confidential client", "code", "client_secret_basic", free_port(), before),
        ("public client by discovery and on any port", "code-public", "none", 0, before),
        ("public client with DPoP over a restart", "code-dpop", "none", 0, restarted),
        ("while it runs", "code-later", "client_secret_post", 0, meanwhile),
    ):
        profile = {
            "type": "oauth2_authorization_code",
            "authorization_url": f"{world.issuer}/auth",
            "state_file": str(pathlib.Path(world.folder, f"{name}.state")),
            "resource": world.resource,
            "scope": "openid offline_access api:read",
            "redirect_port": port,
            "client_authentication": {"client_secret_basic": None, "client_secret_post": "body_parameter"}.get(method, method),
        }
        if scenario is restarted:
            profile["dpop"] = {"private_key": {"file": key.key_file}}
        if method == "none":
            profile |= {"issuer": world.issuer, "authorization_url": None, "token_service_url": None}
        registration = {
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            # RFC 8252 §7.3: on a native client's loopback redirect any port will do.
            "application_type": "native",
            "redirect_uris": [f"http://127.0.0.1:{port}/callback" if port else "http://127.0.0.1/callback"],
        }
        yield row(
            world,
            "authorization code",
            variant,
            name,
            profile,
            {"sub": "frank", "aud": world.resource},
            "dpop" if scenario is restarted else "api",
            method=method,
            scenario=scenario,
            registration=registration,
            by_hand=True,
        )
