"""One run of curl: its exit code, every head it sent and got (from -v), and the last body."""

import pathlib
import subprocess
import tempfile

from report import PROTOCOL, answer

# Where HTTP/2 is spoken, by prior knowledge: there is no TLS to agree on it by.
VERSION = {"h1": "--http1.1", "h2": "--http2-prior-knowledge"}


def curl(*arguments, data=None, output=None):
    """What curl saw. `data` is its standard input; the body goes to `output` when that is given, and is not read."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(output or f"{folder}/body")
        run = subprocess.run(
            ["curl", "-q", "-sS", "-v", "--max-time", "30", VERSION[PROTOCOL], "-o", str(file), *arguments],
            input=data or b"",
            capture_output=True,
            check=False,
        )
        body = file.read_bytes() if file.exists() and not output and "-I" not in arguments else b""
    trace = run.stderr.decode("latin-1").splitlines()
    heads = _heads(trace, "< ")
    if run.returncode != 0 or not heads:
        return {"error": next((line for line in reversed(trace) if line.startswith("curl:")), str(run.returncode))}
    last = heads[-1]
    return {
        "written": run.stdout.decode(),
        # Requests as curl wrote them: with the Host of where it was sent.
        "sent": _heads(trace, "> "),
        "interim": [head["status"].split()[1] for head in heads[:-1]],
        "waited for 100": any("Done waiting for 100-continue" in line for line in trace),
        "answer": answer(int(last["status"].split()[1]), last["headers"], body, trailers=last["trailers"]),
    }


def _heads(trace, mark):
    """Heads of a -v trace: a first line, then fields; an interim answer has no empty line at its end. Trailers come last."""
    heads = []
    ended = True
    for line in trace:
        if not line.startswith(mark):
            continue
        text = line[len(mark) :].strip()
        if text.startswith("HTTP/") or (ended and mark == "> "):
            heads.append({"status": text, "headers": [], "trailers": []})
            ended = False
        elif text:
            name, _, value = text.partition(":")
            heads[-1]["trailers" if ended else "headers"].append([name.strip(), value.strip()])
        else:
            ended = True
    return heads
