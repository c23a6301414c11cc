"""A row of the table: what a server is told of a client, what sidepass is told of it, and what must come of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from processes import Failure

# A row that sidepass cannot do yet stands in the table as this, and the run proves that it still cannot.
MISSING = "missing"
PASSED = "passed"


@dataclass
class Row:
    """`server`, `what` and `variant` name it."""

    server: str
    what: str
    variant: str
    profile: dict
    realm: str
    expected: dict
    route: dict = field(default_factory=dict)
    # What the server is told of the client.
    client: dict | None = None
    # A refresh token is made for this account of the client before the run.
    consent: str | None = None
    # More than one plain request; it gets a `Run`.
    scenario: Callable[["Run"], None] | None = None
    # Looks at the token requests that the server got.
    oracle: Callable[["Run"], None] | None = None
    # What has to be done before sidepass is started.
    prepare: Callable[[], None] | None = None
    # Whether sidepass is started; `sidepass authorize` comes first where it is not.
    by_hand: bool = False
    # Where the route goes, if not to the resource.
    upstream: str | None = None
    missing: bool = False

    def __str__(self):
        return f"{self.server}, {self.what}: {self.variant}"


@dataclass
class Run:
    """A row while it runs."""

    row: Row
    sidepass: Any
    world: Any
    tapped: Callable[[], list]

    def token_requests(self):
        """The token requests of this row so far."""
        return list(self.tapped())

    def expect(self, claims, **more):
        """Fails unless the claims are the row's, or those given instead."""
        for name, value in {**self.row.expected, **more}.items():
            if claims.get(name) != value:
                raise Failure(f"the token says {name}: {claims.get(name)!r}, which should be {value!r}")
        return claims


# Members of a token request that nobody may read anywhere else.
_SECRET = (
    "client_secret",
    "client_assertion",
    "assertion",
    "code",
    "code_verifier",
    "password",
    "refresh_token",
    "subject_token",
)


def leaks(run):
    """Fails if something secret that went to the server stands in what sidepass printed."""
    printed = run.sidepass.text()
    for request in run.token_requests():
        shown = {name: request.form[name] for name in _SECRET if name in request.form}
        shown |= {name: request.headers[name].split(" ")[-1] for name in ("authorization", "dpop") if name in request.headers}
        for name, value in shown.items():
            fails(f"sidepass printed its {name}", value in printed)


def fails(what, condition):
    """Fails with a word about it."""
    if condition:
        raise Failure(what)
