"""Differences that sidepass's documentation admits: hyper neither sends nor shows 1xx answers over HTTP/2 (docs/configuration.md)."""

OVER_HTTP2 = "no 100 over HTTP/2"

# Scenario, ways, fields that may differ, why.
KNOWN = [
    (
        {"expect is refused", "too big with expect", "expectation refused"},
        {"h1 > h2c", "h1 > tls"},
        ("interim",),
        OVER_HTTP2,
    ),
    (
        {"expect is answered"},
        {"h2 > h1", "h2 > h2c", "h2 > tls"},
        ("interim", "waited for 100", "answer.upstream.headers.expect"),
        OVER_HTTP2,
    ),
]


def admitted(way, scenario, problems):
    """Why these problems are no news; nothing, if they are."""
    for scenarios, ways, fields, why in KNOWN:
        if scenario in scenarios and way in ways:
            named = tuple(f"{field}:" for field in fields)
            if all(problem.startswith(named) for problem in problems):
                return why
    return None
