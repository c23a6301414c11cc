"""The servers as processes: oidc-provider with its tap, and the protected resource."""

import contextlib
import json
import pathlib
import queue
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from processes import Failure, environment

HERE = pathlib.Path(__file__).parent
START_SECONDS = 20


@dataclass
class Tapped:
    """A token request as the server got it, and the status of its answer."""

    method: str
    url: str
    headers: dict
    body: str
    # The SHA-256 of the client's certificate, in hexadecimal with colons.
    certificate: str | None
    status: int
    form: dict = field(init=False)

    def __post_init__(self):
        pairs = list(zip(self.headers[::2], self.headers[1::2]))
        self.headers = {name.lower(): value for name, value in pairs}
        self.form = {name: given[0] for name, given in parse_qs(self.body, keep_blank_values=True).items()}


class Server:
    """A script of ours around somebody's library. Use as a context; `.said` is its first line."""

    def __init__(self, folder, name, settings, authority_file, command=("node",)):
        self._name = name
        file = pathlib.Path(folder, f"{name}.json")
        file.write_text(json.dumps(settings), encoding="utf-8")
        self._command = [*command, str(HERE / name), str(file)]
        self._errors = pathlib.Path(folder, f"{name}.log")
        self._authority_file = authority_file
        self.tapped = []
        self._lines = queue.Queue()

    def __enter__(self):
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment(NODE_EXTRA_CA_CERTS=self._authority_file),
                text=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.said = self._lines.get(timeout=START_SECONDS)
        except queue.Empty:
            self.said = None
        if self.said is None:
            self.__exit__()
            raise Failure(f"{self._name} did not start:\n{self.errors()}")
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(5)

    def errors(self):
        """What it wrote about its troubles."""
        return self._errors.read_text(encoding="utf-8", errors="replace")

    def _read(self):
        for line in self._process.stdout:
            said = json.loads(line)
            if "tapped" in said:
                self.tapped.append(Tapped(**said["tapped"]))
            else:
                self._lines.put(said)
        self._lines.put(None)


def eventually(what, seconds, ask):
    """The first true answer of `ask()`; fails after `seconds`."""
    give_up = time.monotonic() + seconds
    while True:
        if found := ask():
            return found
        if time.monotonic() > give_up:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(0.03)


def end(process):
    """Ends a server that has no script of ours."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    process.wait()
