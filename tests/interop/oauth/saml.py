"""A token service in the shape of SuccessFactors and BTP, in which Debian's xmlsec1 judges every assertion."""

import base64
import datetime
import http.server
import json
import re
import secrets
import subprocess
import tempfile
import threading
from urllib.parse import parse_qs
from xml.etree import ElementTree

from row import Row

SERVER = "xmlsec1"
GRANT = "urn:ietf:params:oauth:grant-type:saml2-bearer"
_SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
SKEW = datetime.timedelta(seconds=30)


class Refused(Exception):
    """Why an assertion is not taken."""


def verify(document, certificate_file):
    """Whether xmlsec1 finds the signature of the whole assertion right."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as file:
        file.write(document)
        file.flush()
        command = ["xmlsec1", "--verify", "--enabled-reference-uris", "same-doc", "--pubkey-cert-pem", certificate_file]
        identified = ["--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion"]
        run = subprocess.run([*command, *identified, file.name], capture_output=True, text=True, timeout=20, check=False)
        return run.returncode == 0, run.stderr


def decoded(text, alphabet):
    """Base64 with these two characters at its end; padding may be missing with the second alphabet alone."""
    padding = "=" * (-len(text) % 4) if alphabet == b"-_" else ""
    return base64.b64decode(text + padding, altchars=alphabet, validate=True)


def subject(document, expected, seen):
    """The subject of an assertion that is signed, is for us, now, and new (RFC 7522 §3)."""
    holds, why = verify(document, expected["certificate_file"])
    if not holds:
        raise Refused(f"xmlsec1: {why[-400:]}")
    root = ElementTree.fromstring(document)
    name = root.findtext(f"{_SAML}Subject/{_SAML}NameID")
    # A signature that would hold for anything is no proof.
    changed, times = re.subn(rb"(NameID[^>]*>)[^<]+", rb"\1somebody else", document, count=1)
    if times == 0 or verify(changed, expected["certificate_file"])[0]:
        raise Refused("xmlsec1 takes a changed assertion too")
    if verify(document, expected["foreign_file"])[0]:
        raise Refused("xmlsec1 takes another certificate too")
    reference = root.find(".//{http://www.w3.org/2000/09/xmldsig#}Reference")
    if root.tag != f"{_SAML}Assertion" or reference.get("URI") != f"#{root.get('ID')}":
        raise Refused("what is signed is not the assertion")
    if root.get("ID") in seen:
        raise Refused("the same ID twice")
    seen.add(root.get("ID"))
    confirmation = root.find(f"{_SAML}Subject/{_SAML}SubjectConfirmation")
    data, conditions = confirmation.find(f"{_SAML}SubjectConfirmationData"), root.find(f"{_SAML}Conditions")
    found = {
        "issuer": root.findtext(f"{_SAML}Issuer"),
        "method": confirmation.get("Method"),
        "recipient": data.get("Recipient"),
        "audience": conditions.findtext(f"{_SAML}AudienceRestriction/{_SAML}Audience"),
        "attributes": {a.get("Name"): a.findtext(f"{_SAML}AttributeValue") for a in root.iter(f"{_SAML}Attribute")},
    }
    for name_of, value in {**expected["says"], "method": _BEARER}.items():
        if found[name_of] != value:
            raise Refused(f"{name_of} is {found[name_of]!r}, not {value!r}")
    now = datetime.datetime.now(datetime.UTC)
    before, until = (datetime.datetime.fromisoformat(conditions.get(end)) for end in ("NotBefore", "NotOnOrAfter"))
    if not before - SKEW <= now < until or datetime.datetime.fromisoformat(data.get("NotOnOrAfter")) <= now:
        raise Refused("it is not valid now")
    return name


class SamlService:
    """POST is the token request of one of `expected` (by `client_id`), GET the API. Use as a context."""

    def __init__(self):
        service = self
        self.expected, self.tapped, self._tokens, self._seen = {}, [], {}, set()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                form = {name: given[0] for name, given in parse_qs(body).items()}
                # The client of a BTP service shows a secret, in the header.
                scheme, _, basic = self.headers.get("Authorization", "").partition(" ")
                if scheme == "Basic":
                    form["client_id"], _, form["client_secret"] = base64.b64decode(basic).decode().partition(":")
                try:
                    self.answer(200, service.issued(form))
                except (Refused, KeyError, ValueError) as error:
                    self.answer(400, {"error": "invalid_grant", "error_description": repr(error)})

            def do_GET(self):
                claims = service.claims_of(self.headers.get("Authorization"))
                self.answer(200 if claims else 401, {"claims": claims})

            def answer(self, status, body):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.token_service_url = f"{self.url}/oauth/token"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def issued(self, form):
        """The answer to a token request."""
        expected = self.expected[form["client_id"]]
        for name, value in {"grant_type": GRANT, **expected["form"]}.items():
            if form.get(name) != value:
                raise Refused(f"{name} is {form.get(name)!r}, not {value!r}")
        name = subject(decoded(form["assertion"], expected["alphabet"]), expected, self._seen)
        token = secrets.token_urlsafe(16)
        self._tokens[f"Bearer {token}"] = {"client_id": form["client_id"], "sub": name}
        return {"access_token": token, "token_type": "Bearer", "expires_in": 300}

    def claims_of(self, authorization):
        """Whom a token speaks of."""
        return self._tokens.get(authorization)


def rows(world):
    """CPI's three target system types; RSA and ECDSA."""
    service = world.saml
    foreign = world.authority.issue("saml-foreign", "RS256")
    for target, algorithm, user in (
        ("successfactors", "RS256", None),
        ("successfactors", "RS256", "technical & <user> é"),
        ("btp_neo", "RS256", None),
        ("btp_cf", "RS256", None),
        ("btp_cf", "ES256", None),
    ):
        variant = f"{target} ({'user with odd characters' if user else 'ECDSA' if algorithm == 'ES256' else 'RSA'})"
        name = f"saml-{len(service.expected)}"
        pair = world.authority.issue(name, algorithm)
        profile = {
            "type": "oauth2_saml_bearer_assertion",
            "target_system_type": target,
            "token_service_url": service.token_service_url,
            "client_id": name,
            "key_pair": pair.setting(),
            "audience": "www.successfactors.com",
        }
        form = {}
        if user:
            profile["user_id"] = user
        if target == "successfactors":
            profile["company_id"] = form["company_id"] = "acme"
            form["new_token"] = "true"
        else:
            profile["client_secret"] = form["client_secret"] = "s3cret"
        service.expected[name] = {
            "certificate_file": pair.certificate_file,
            "foreign_file": foreign.certificate_file,
            "form": form,
            # RFC 7522 §2.1; SuccessFactors documents the ordinary one.
            "alphabet": b"+/" if target == "successfactors" else b"-_",
            "says": {"audience": "www.successfactors.com", "recipient": service.token_service_url},
        }
        expected = {"client_id": name, "sub": user or name}
        yield Row(SERVER, "SAML bearer", variant, profile, "", expected, upstream=service.url)
