"""No proxy at all: the load goes to the upstream with a token of its own. What is added over this is the proxies' part."""

NAME = "direct"


class Direct:
    """Stands in for a target where added latency is asked for."""

    name = NAME
