"""The table of what passed: printed at the end of a run, and kept in README."""

import pathlib

from row import MISSING

README = pathlib.Path(__file__).parents[3] / "README.md"
_HEAD = "| server | client authentication, grant | passed | missing |"
_RULE = "| --- | --- | --- | --- |"


def lines(results):
    """The table, a line for each thing that a server was asked for."""
    cells = {}
    for row, found in results:
        passed, missing = cells.setdefault((row.server, row.what), ([], []))
        if found != "FAILED":
            (missing if found == MISSING else passed).append(row.variant)
    body = [
        f"| {server} | {what} | {', '.join(passed)} | {', '.join(missing)} |"
        for (server, what), (passed, missing) in cells.items()
    ]
    return [_HEAD, _RULE, *(line.replace("  ", " ") for line in body)]


def _kept():
    """README's lines, and where its table begins and ends."""
    text = README.read_text(encoding="utf-8").split("\n")
    start = text.index(_HEAD) if _HEAD in text else None
    if start is None:
        return text, None, None
    end = next(at for at in range(start, len(text)) if not text[at].startswith("|"))
    return text, start, end


def is_kept(results):
    """Whether README has this very table."""
    text, start, end = _kept()
    return start is not None and text[start:end] == lines(results)


def write(results):
    """Replaces README's table."""
    text, start, end = _kept()
    if start is None:
        raise SystemExit(f"README has no table that begins with {_HEAD}")
    README.write_text("\n".join([*text[:start], *lines(results), *text[end:]]), encoding="utf-8")
