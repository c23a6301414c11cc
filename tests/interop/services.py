"""The upstreams: servers that others wrote, each a process that says its ports as one line of JSON."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import trustme

from processes import Failure, environment, free_port

HERE = pathlib.Path(__file__).parent
START_SECONDS = 20


@dataclass
class Service:
    """An upstream. `ports` has one a way to speak to it: h1, h2c, tls, ...; `unix` may be a socket."""

    name: str
    ports: dict
    unix: str = ""

    def url(self, way):
        """Its origin for a way; over TLS by the name of its certificate."""
        port = self.ports[way]
        return f"https://localhost:{port}" if way == "tls" else f"http://127.0.0.1:{port}"


class Services:
    """All upstreams by name, with a certificate of an authority of their own (`ca_file`). Use as a context."""

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as started:
            self._stack = started
            self._start()
            self._stack = started.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def __getitem__(self, name):
        return self._services[name]

    def _start(self):
        authority = trustme.CA()
        leaf = authority.issue_cert("localhost", "127.0.0.1")
        self.ca_file, certificate, key = (str(self._folder / name) for name in ("ca.pem", "certificate.pem", "key.pem"))
        authority.cert_pem.write_to_path(self.ca_file)
        leaf.cert_chain_pems[0].write_to_path(certificate)
        leaf.private_key_pem.write_to_path(key)
        upstreams = HERE / "upstreams"
        self._services = {
            "node": self._server("node", "node", str(upstreams / "server.js"), certificate, key, str(self._folder / "n.sock")),
            "websockets": self._server("websockets", sys.executable, str(upstreams / "websocket.py"), certificate, key),
            "grpcio": self._server("grpcio", sys.executable, str(upstreams / "grpc_server.py"), certificate, key),
            "nginx": self._nginx(certificate, key),
        }

    def _process(self, *command, **options):
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, env=environment(), text=True, start_new_session=True, **options
        )
        self._stack.callback(_end, process)
        return process

    def _server(self, name, *command):
        process = self._process(*command, stdout=subprocess.PIPE)
        line = process.stdout.readline()
        if not line:
            raise Failure(f"{name} did not start")
        ports = json.loads(line)
        return Service(name, ports, ports.pop("unix", ""))

    def _nginx(self, certificate, key):
        """nginx with static files, and git's own HTTP backend behind fcgiwrap."""
        www = self._folder / "www"
        www.mkdir()
        (www / "small.txt").write_text("small\n" * 20, encoding="ascii")
        (www / "large.bin").write_bytes(os.urandom(1 << 20) * 100)
        git = self._folder / "git"
        git.mkdir()
        backend = _repository(git)
        ports = {name: free_port() for name in ("h1", "h2c", "tls", "goaway")}
        values = {"folder": self._folder, "certificate": certificate, "key": key, "backend": backend, **ports}
        text = (HERE / "upstreams" / "nginx.conf").read_text(encoding="ascii")
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        file = self._folder / "nginx.conf"
        file.write_text(text, encoding="ascii")
        self._process(_command("fcgiwrap"), "-f", "-c", "2", "-s", f"unix:{self._folder}/fcgi.sock", stderr=subprocess.DEVNULL)
        nginx = self._process(_command("nginx"), "-c", str(file), "-e", str(self._folder / "error.log"))
        wait_for(lambda: (self._folder / "nginx.pid").exists(), nginx, "nginx")
        return Service("nginx", ports)


def _repository(folder):
    """A bare repository with one small branch, which takes pushes; the path of git's HTTP backend."""

    def git(*arguments):
        run = subprocess.run(
            ["git", "-c", "user.name=interop", "-c", "user.email=interop", *arguments],
            cwd=folder,
            env=environment(HOME=str(folder)),
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout.strip()

    git("init", "--quiet", "--bare", "repository.git")
    git("-C", "repository.git", "config", "http.receivepack", "true")
    git("init", "--quiet", "seed")
    (folder / "seed" / "seed.txt").write_text("seed\n", encoding="ascii")
    git("-C", "seed", "add", "seed.txt")
    git("-C", "seed", "commit", "--quiet", "-m", "seed")
    git("-C", "seed", "push", "--quiet", "../repository.git", "HEAD:refs/heads/seed")
    return pathlib.Path(git("--exec-path"), "git-http-backend")


def _command(name):
    """Where a server's program is, which may not be on a user's PATH."""
    return shutil.which(name) or f"/usr/sbin/{name}"


def _end(process):
    """Ends a server and what it started: fcgiwrap's workers outlive it otherwise."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(ready, process, name):
    """Waits until `ready()` holds; fails when the process ends first, or after `START_SECONDS`."""
    give_up = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > give_up:
            raise Failure(f"{name} did not start")
        time.sleep(0.02)
