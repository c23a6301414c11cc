"""What counts as a difference between direct and through sidepass.

A client's observation is JSON. Three kinds of objects in it are known: an answer (has `status` and `headers`), a request as the
upstream saw it (`upstream`, with `headers` and `trailers`), and texts with addresses. Everything else must be equal as it is.
"""

import json

from through import INJECTED

# Each connection has its own (RFC 9110 §7.6.1, RFC 9113 §8.2.2); the framing that they name is compared by the bodies.
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "http2-settings"}
# Documented: sidepass adds itself to requests (RFC 9110 §7.6.3).
ADDED = {"via"}


class Side:
    """Direct or through: the address that the client used, the one that the upstream has, and whether headers are injected."""

    def __init__(self, base, upstream, injects):
        self._addresses = [(base, "<base>"), (_authority(base), "<authority>")]
        self._upstream_host = _authority(upstream)
        self._injects = injects
        self.problems = []

    def normal(self, seen):
        """An observation without what may differ; `problems` says what is wrong already by itself."""
        if isinstance(seen, list):
            return [self.normal(item) for item in seen]
        if isinstance(seen, str):
            for address, name in self._addresses:
                seen = seen.replace(address, name)
            return seen
        if not isinstance(seen, dict):
            return seen
        result = {key: self.normal(value) for key, value in seen.items() if key != "upstream"}
        if "status" in seen and isinstance(seen.get("headers"), list):
            result["headers"] = self._fields(seen["headers"], HOP_BY_HOP)
            if "date" in result["headers"]:
                result["headers"]["date"] = "present"
        if "upstream" in seen:
            result["upstream"] = self._request(seen["upstream"])
        return result

    def _request(self, request):
        """A request as the upstream saw it."""
        fields = self._fields(request["headers"], HOP_BY_HOP)
        fields.pop("host", None)
        if "cookie" in fields:
            # HTTP/2 may split it (RFC 9113 §8.2.3).
            fields["cookie"] = ["; ".join(fields["cookie"])]
        host = [value for name, value in request["headers"] if name == "host"]
        # gRPC servers don't show theirs.
        if "target" in request and host != [self._upstream_host]:
            self.problems.append(f"the upstream saw Host {host}, not {self._upstream_host}")
        if self._injects:
            for name in ADDED:
                fields.pop(name, None)
            for name, value in INJECTED.items():
                found = fields.pop(name, [])
                if len(found) != 1 or not found[0].startswith(value):
                    self.problems.append(f"not injected: {name}: {len(found)} lines")
        return {**request, "headers": fields}

    def _fields(self, lines, without):
        """The lines of each field, in their order; names have no case. The order of different fields means nothing."""
        fields = {}
        for name, value in lines:
            name = name.lower()
            if name == "trailer":
                value = value.lower()  # it lists names of fields
            if name not in without:
                fields.setdefault(name, []).append(self.normal(value))
        return fields


def _authority(url):
    return url.split("://", 1)[1]


def differences(direct, through, path=""):
    """Where two observations differ, one line each."""
    if isinstance(direct, dict) and isinstance(through, dict):
        for key in sorted(direct.keys() | through.keys()):
            # A proxy dates an answer that has no date (RFC 9110 §6.6.1).
            if key == "date" and key not in direct and path.endswith("headers"):
                continue
            yield from differences(direct.get(key), through.get(key), f"{path}.{key}")
    elif isinstance(direct, list) and isinstance(through, list) and len(direct) == len(through):
        for number, (one, other) in enumerate(zip(direct, through, strict=True)):
            yield from differences(one, other, f"{path}[{number}]")
    elif direct != through:
        yield f"{path.lstrip('.')}: direct {_short(direct)}, through {_short(through)}"


def _short(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}..."
