"""sidepass: fetches its token itself; ten routes with a profile each, of which one is used."""

import urllib.request

from lab import free_port

NAME = "sidepass"
SECRET = "bench-client-secret"


def config(setup, upstream, tokens, port, admin):
    """proxy.yaml: route and profile n answer for /rn."""
    scheme = "https" if setup.upstream == "tls" else "http"
    extra = f", ca_file: {upstream.ca}" if setup.upstream == "tls" else ""
    if setup.upstream == "http2":
        extra += ", http2: prior_knowledge"
    lines = [
        f'proxy: {{ listen: "127.0.0.1:{port}", workers: {setup.workers} }}',
        f'admin: {{ listen: "127.0.0.1:{admin}" }}',
        "log: { level: warn }",
        "profiles:",
    ]
    for n in range(setup.routes):
        url = f"http://127.0.0.1:{tokens.port}/token"
        lines.append(f"  p{n}: {{ token_service_url: '{url}', client_id: c{n}, client_secret: {{ env: BENCH_SECRET }} }}")
    lines.append("routes:")
    for n in range(setup.routes):
        url = f"{scheme}://127.0.0.1:{upstream.port(setup.upstream)}"
        lines.append(f"  r{n}: {{ match: {{ path_prefix: /r{n} }}, upstream: '{url}', profile: p{n}{extra} }}")
    return "\n".join(lines) + "\n"


class Sidepass:
    """The binary under test."""

    name = NAME

    def __init__(self, binary):
        self.binary = binary

    def can(self, _setup):
        """It has no setup that it is known to refuse."""
        return True

    def command(self, lab, setup, upstream, tokens, port):
        """The command that serves on `port`, its environment, and a probe that says when it is ready."""
        admin = free_port()
        file = lab.file("sidepass.yaml", config(setup, upstream, tokens, port, admin))
        command = [self.binary, "run", "--config", file]
        return command, {"BENCH_SECRET": SECRET}, lambda: is_ready(admin)


def is_ready(admin):
    """Whether every profile has its token."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False
