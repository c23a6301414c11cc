"""Where a run happens: a temporary folder, free ports, pinned processes; nothing of it is left behind."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time


class Failure(Exception):
    """A run that cannot go on; the text is for the one who started it."""


# With one core nothing is pinned: everything shares it anyway.
CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE, LOAD_CORE = (CORES[0], CORES[1]) if len(CORES) > 1 else (None, None)


# A plain kill and a closed terminal must come by the same way as Ctrl-C.
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def pinned(core, command):
    """The command, on that core only; `None` is wherever the kernel likes."""
    return list(command) if core is None else ["taskset", "-c", str(core), *command]


def free_port():
    """A loopback port that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _interrupt(*_):
    raise KeyboardInterrupt


class Lab:
    """A folder and the processes started in it; leaving it ends and removes all, whatever happened."""

    def __enter__(self):
        for ending in ENDINGS:
            signal.signal(ending, _interrupt)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sidepass-bench-"))
        # A proxy that gives up its rights (nginx's workers) still reads its files.
        self.folder.chmod(0o755)
        self._running = []
        return self

    def __exit__(self, *_):
        # A second Ctrl-C must not keep the rest from being ended.
        for ending in ENDINGS:
            signal.signal(ending, signal.SIG_IGN)
        for process in reversed(self._running):
            self.stop(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def file(self, name, content):
        """Writes a file of the run and says where it is."""
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        return path

    def start(self, command, core=None, env=None, log="log"):
        """Starts a process in a group of its own, its output in a file of the folder."""
        output = self.folder / f"{log}.txt"
        with output.open("ab") as out:
            process = subprocess.Popen(
                pinned(core, [str(part) for part in command]),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **(env or {})},
                cwd=self.folder,
                start_new_session=True,
            )
        process.output = output
        self._running.append(process)
        return process

    def stop(self, process, patience=5.0):
        """SIGTERM, then SIGKILL to what is left of its group."""
        if process in self._running:
            self._running.remove(process)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def wait_for(what, probe, process, patience=20.0):
    """Asks `probe` until it says yes; a process that died meanwhile is reported with what it said."""
    give_up = time.monotonic() + patience
    while True:
        if probe():
            return
        if process.poll() is not None or time.monotonic() > give_up:
            raise Failure(f"{what}: not there\n{process.output.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)


def listens(port):
    """Whether somebody accepts on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
