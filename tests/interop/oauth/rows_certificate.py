"""How a client proves itself to oidc-provider with a certificate in TLS (RFC 8705), and tokens that are bound to it."""

from row import fails
from rows_client import another, registered, row


def rows(world):
    """All of them."""
    yield from certificates(world)
    yield from replaced_certificate(world)


def certificates(world):
    def one(what, variant, name, pair, method, endpoint, **more):
        kept = (
            {"tls_client_auth_subject_dn": pair.subject}
            if method == "tls_client_auth"
            else {"jwks": {"keys": [pair.jwk(use="sig", x5c=[_x5c(pair)])]}}
        )
        bound = more.pop("bound", False)
        client = registered(name, method, tls_client_certificate_bound_access_tokens=bound, **kept)
        profile = {"client_authentication": "tls_client_auth", "key_pair": pair.setting(), **endpoint}
        realm = "certificate" if bound else "api"
        route = {"client_certificate": "profile"} if bound else {}

        def nothing_else(run):
            for request in run.token_requests():
                fails("more than the certificate is shown", {"client_secret", "client_assertion"} & set(request.form))

        return row(world, what, variant, client, profile, realm, route=route, oracle=nothing_else)

    mutual = {"token_service_url": f"{world.mutual}/token"}
    discovered = {"token_service_url": None, "issuer": world.issuer}
    yield one("tls_client_auth", "authority's certificate", "mtls", world.authority.issue("mtls"), "tls_client_auth", mutual)
    yield one("tls_client_auth", "RSA", "mtls-rsa", world.authority.issue("mtls-rsa", "RS256"), "tls_client_auth", mutual)
    yield one(
        "tls_client_auth",
        "mtls_endpoint_aliases",
        "mtls-found",
        world.authority.issue("mtls-found"),
        "tls_client_auth",
        discovered,
    )
    yield one(
        "tls_client_auth",
        "certificate-bound token",
        "mtls-bound",
        world.authority.issue("mtls-bound"),
        "tls_client_auth",
        mutual,
        bound=True,
    )
    yield one(
        "self_signed_tls_client_auth",
        "self-signed certificate",
        "mtls-self",
        world.authority.self_signed("mtls-self"),
        "self_signed_tls_client_auth",
        mutual,
    )


def replaced_certificate(world):
    pairs = [world.authority.self_signed(f"rotated-certificate-{number}") for number in range(2)]

    def replaced(run):
        first = run.expect(run.sidepass.claims())
        pairs[0].become(pairs[1])
        another(run, first)
        shown = [request.certificate for request in run.token_requests()]
        fails("the first certificate was not shown", shown[0] != pairs[0].fingerprint())
        fails("the second certificate was not shown", shown[-1] != pairs[1].fingerprint())

    keys = [pair.jwk(use="sig", x5c=[_x5c(pair)]) for pair in pairs]
    client = registered("rotated-certificate", "self_signed_tls_client_auth", jwks={"keys": keys})
    profile = {
        "token_service_url": f"{world.mutual}/token",
        "client_authentication": "tls_client_auth",
        "key_pair": pairs[0].setting(),
        "resource": world.resource_of(5),
    }
    expected = {"aud": world.resource_of(5)}
    what = "self_signed_tls_client_auth"
    yield row(world, what, "files that are replaced", client, profile, "api5", scenario=replaced, expected=expected)


def _x5c(pair):
    return "".join(pair.certificate_pem.split("\n")[1:-2])
