"""Starting, watching and ending sidepass as a process."""

import contextlib
import os
import pathlib
import queue
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

SYSTEMS = ("cai", "lms", "iot")
PROFILES = ("cai_bot", "lms_admin_OAuth2", "Leonardo-IoT")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Failure(Exception):
    """What a smoke test found wrong."""


def environment(**more):
    """What a process of ours sees: nothing of this machine's proxies or of sidepass settings that happen to be here."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith("SIDEPASS_") and not k.lower().endswith("_proxy")}
    return {**keep, **more}


def free_port():
    """A port that nobody listens on, on either loopback address."""
    while True:
        with socket.socket() as four:
            four.bind(("127.0.0.1", 0))
            port = four.getsockname()[1]
            if not socket.has_ipv6:
                return port
            with socket.socket(socket.AF_INET6) as six:
                with contextlib.suppress(OSError):
                    six.bind(("::1", port))
                    return port


class Sidepass:
    """A running sidepass, whose lines are collected as they come. Use as a context."""

    def __init__(self, binary, *arguments, **variables):
        self._command = [binary, *arguments]
        self._variables = variables
        self._lines = queue.Queue()
        self.output = []

    def __enter__(self):
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(**self._variables),
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(5)

    def _read(self):
        for line in self.process.stdout:
            line = _COLOURS.sub("", line.rstrip("\n"))
            self.output.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def text(self):
        """All that it has printed."""
        return "\n".join(self.output)

    def wait_for(self, what, accept, seconds):
        """The first line not yet looked at that `accept` takes; fails after `seconds`, or when the process ends."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise Failure(f"no {what} within {seconds} s; it printed:\n{self.text()}") from None
            if line is None:
                raise Failure(f"it ended before {what}; it printed:\n{self.text()}")
            if accept(line):
                return line

    def ends(self, number, seconds=5):
        """Sends a signal and expects exit code 0 in time."""
        self.process.send_signal(number)
        sent = time.monotonic()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"still there {seconds} s after {signal.Signals(number).name}:\n{self.text()}") from None
        if code != 0:
            raise Failure(f"exit code {code} after {signal.Signals(number).name}:\n{self.text()}")
        return time.monotonic() - sent


def is_renewal(line):
    """Whether the demo says in this line that it renewed a token."""
    return re.search(r"\brenewed\b", line) is not None and any(profile in line for profile in PROFILES)


class Demo(Sidepass):
    """`sidepass demo` on free ports, with the curl lines that it prints."""

    def __init__(self, binary):
        super().__init__(binary, "demo", "--listen", "localhost:0")

    def curl_lines(self):
        """The printed curl line of each system."""
        lines = {}
        while len(lines) < len(SYSTEMS):
            line = self.wait_for("curl line of each system", lambda line: "curl " in line, 15)
            for system in SYSTEMS:
                if re.search(rf"http://(localhost|127\.0\.0\.1):[1-9]\d*/{system}/", line):
                    lines.setdefault(system, line.strip())
        return lines


def curl_status(line):
    """HTTP status (0: no answer) and output of a curl line, run by bash exactly as it was printed."""
    with tempfile.TemporaryDirectory() as home:
        # curl reads this before its arguments, so the line itself stays untouched.
        pathlib.Path(home, ".curlrc").write_text(
            'silent\nshow-error\nmax-time = 15\nwrite-out = "%{stderr}\\nsmoke-status %{http_code}\\n"\n', encoding="ascii"
        )
        run = subprocess.run(
            ["bash", "-c", line],
            env=environment(CURL_HOME=home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
    found = re.search(r"smoke-status (\d{3})", run.stderr)
    return int(found[1]) if found else 0, run.stdout + run.stderr
