"""What one run asks of a target."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Setup:
    """The shape of a proxy: `upstream` is http1, tls or http2; `routes` counts profiles, too (sidepass only)."""

    upstream: str = "http1"
    workers: int = 1
    routes: int = 10
    # Seconds a token lives; Envoy and sidepass renew at half of so short a life.
    token_lifetime: int = 3600
    # One process with its worker in it, for valgrind.
    single_process: bool = False
