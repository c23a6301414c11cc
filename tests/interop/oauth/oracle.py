"""joserfc as the oracle: every JWT that sidepass signed is taken from the tap and read by a library that shares nothing with it."""

import hashlib
import json
import time
import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import import_key
from joserfc.jws import JWSRegistry

from processes import Failure
from row import fails

# How far a clock read before the request may be from one read after it.
SLACK_SECONDS = 30


class _Registry(JWSRegistry):
    """A proof with an RSA key has a longer header than joserfc takes."""

    max_header_length = 2048


def thumbprint(certificate, digest):
    """`x5t` and `x5t#S256` (RFC 7515 §4.1.7)."""
    return urlsafe_b64encode(digest(certificate.public_bytes(Encoding.DER)).digest()).rstrip(b"=").decode()


def read(token, key, algorithm):
    """Header and claims of a JWT whose signature is right."""
    try:
        with warnings.catch_warnings():
            # RFC 9864 gives EdDSA another name.
            warnings.simplefilter("ignore")
            decoded = jwt.decode(token, key, registry=_Registry(algorithms=[algorithm]))
    except (JoseError, ValueError) as error:
        raise Failure(f"joserfc does not take the JWT: {error!r}") from None
    return decoded.header, decoded.claims


def assertions(member, key, algorithm, claims, key_id=None, thumbprints=None, lifetime=300):
    """A check of a member of every token request: signature, header, claims, times, and that none was sent twice."""

    def check(run):
        requests = [request for request in run.token_requests() if member in request.form]
        fails(f"no token request has a {member}", not requests)
        for request in requests:
            header, found = read(request.form[member], key, algorithm)
            wanted = {"kid": key_id, "x5t": None, "x5t#S256": None, **(thumbprints or {})}
            for name, value in {"alg": algorithm, **wanted}.items():
                fails(f"header {name} is {header.get(name)!r}, not {value!r}", header.get(name) != value)
            fails(f"header typ is {header.get('typ')!r}", header.get("typ", "JWT") != "JWT")
            _claims(found, claims, lifetime)
            _once(run.world, found)

    return check


def _claims(found, wanted, lifetime):
    for name, value in wanted.items():
        fails(f"claim {name} is {found.get(name)!r}, not {value!r}", found.get(name) != value)
    fails("exp and iat are needed", not all(isinstance(found.get(name), int) for name in ("exp", "iat")))
    fails(f"it lives {found['exp'] - found['iat']} s, not {lifetime}", found["exp"] - found["iat"] != lifetime)
    fails("iat is not now", abs(time.time() - found["iat"]) > SLACK_SECONDS)
    fails("nbf is later than iat", found.get("nbf", 0) > found["iat"])


def _once(world, found):
    jti = found.get("jti")
    fails("jti is missing", not isinstance(jti, str) or len(jti) < 16)
    fails("the same jti twice", jti in world.jtis)
    world.jtis.add(jti)


def proofs(algorithm):
    """A check of the DPoP proof of every token request (RFC 9449 §4.2)."""

    def check(run):
        requests = run.token_requests()
        nonces = []
        for request in requests:
            proof = request.headers.get("dpop")
            fails("a token request without a proof", not proof)
            header = json.loads(_bytes(proof.split(".")[0]))
            jwk = header.get("jwk", {})
            fails("the proof shows a private key", bool({"d", "p", "q", "k"} & set(jwk)))
            header, claims = read(proof, import_key(jwk), algorithm)
            fails(f"typ is {header.get('typ')!r}", header.get("typ") != "dpop+jwt")
            fails(f"htm is {claims.get('htm')!r}", claims.get("htm") != "POST")
            fails(f"htu is {claims.get('htu')!r}", claims.get("htu") != f"{run.world.issuer}/token")
            fails("ath has no place here", "ath" in claims)
            fails("iat is not now", abs(time.time() - claims["iat"]) > SLACK_SECONDS)
            _once(run.world, claims)
            nonces.append(claims.get("nonce"))
        # The server sends every proof without a nonce back, once.
        fails(f"statuses are {[r.status for r in requests]}", [r.status for r in requests[:2]] != [400, 200])
        fails("the nonce is not the server's", nonces[0] is not None or not nonces[1])

    return check


def _bytes(part):
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def sha1_and_sha256(pair):
    """Both thumbprints of a key pair's certificate."""
    return {
        "x5t": thumbprint(pair.certificate, hashlib.sha1),
        "x5t#S256": thumbprint(pair.certificate, hashlib.sha256),
    }
