"""git over smart HTTP, against git's own backend behind nginx: push, clone, shallow fetch."""

import os
import pathlib
import re
import subprocess
import tempfile
import uuid

from report import BASE, PROTOCOL, main, scenario

REPOSITORY = f"{BASE}/git/repository.git"
# Far above http.postBuffer: git sends such a pack in chunks.
LARGE = 8 << 20
IDENTITY = {f"GIT_{who}_{what}": "interop" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
# The default asks for HTTP/2 only over TLS.
VERSION = {"h1": "HTTP/1.1", "h2": "HTTP/2"}[PROTOCOL]


def git(home, *arguments, **more):
    """Runs git with nothing of this machine's configuration; its output and errors."""
    variables = {**os.environ, **IDENTITY, "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", **more}
    command = ["git", "-c", f"http.version={VERSION}", "-c", "init.defaultBranch=main", *arguments]
    run = subprocess.run(command, cwd=home, env=variables, capture_output=True, text=True, check=False, timeout=30)
    if run.returncode != 0:
        raise RuntimeError(f"git {arguments[0]}: {run.stderr.strip()[-200:]}")
    return run.stdout.strip() + run.stderr.strip()


@scenario
def push_and_clone():
    """Three commits, one of them large; what is cloned is what was pushed."""
    branch = f"b-{uuid.uuid4()}"
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        git(home, "init", "--quiet", "work")
        work = home / "work"
        for name, size in (("one", 100), ("large", LARGE), ("three", 5000)):
            (work / name).write_bytes(os.urandom(size))
            git(work, "add", name)
            git(work, "commit", "--quiet", "-m", name)
        pushed = git(work, "push", REPOSITORY, f"HEAD:refs/heads/{branch}", GIT_TRACE_CURL="1", GIT_TRACE_CURL_NO_DATA="1")
        head = git(work, "rev-parse", "HEAD")
        cloned = git(home, "clone", "--branch", branch, REPOSITORY, "clone", GIT_TRACE_PACKET="1")
        git(home / "clone", "fsck", "--strict")
        shallow = git(home, "clone", "--depth", "1", "--branch", branch, REPOSITORY, "shallow")
        depth_1 = git(home / "shallow", "rev-list", "--count", "HEAD")
        git(home / "shallow", "fetch", "--unshallow")
        return {
            "chunked": bool(re.search(r"(?i)=> Send header: transfer-encoding: chunked", pushed)),
            "statuses": re.findall(r"<= Recv header: HTTP/[\d.]+ (\d+)", pushed),
            "protocol 2": "version 2" in cloned,
            "cloned": git(home / "clone", "rev-parse", "HEAD") == head,
            "warned": "warning" in cloned + shallow,
            "commits": [depth_1, git(home / "shallow", "rev-list", "--count", "HEAD")],
        }


@scenario
def list_of_refs():
    with tempfile.TemporaryDirectory() as folder:
        return "refs/heads/seed" in git(pathlib.Path(folder), "ls-remote", REPOSITORY)


@scenario
def no_such_repository():
    with tempfile.TemporaryDirectory() as folder:
        try:
            git(pathlib.Path(folder), "ls-remote", f"{BASE}/git/none.git")
        except RuntimeError as error:
            return str(error)
        return "no error"


@scenario
def old_protocol():
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        said = git(home, "-c", "protocol.version=0", "clone", "--branch", "seed", REPOSITORY, "clone", GIT_TRACE_PACKET="1")
        return {"protocol 2": "version 2" in said, "files": sorted(path.name for path in (home / "clone").iterdir())}


main()
