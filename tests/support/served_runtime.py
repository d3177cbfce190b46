"""A real runtime for tests: `codewords-mcp serve` in a home of its own, stopped as an operator would stop it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support.command_server import ForkedCommand, command_server

Process = subprocess.Popen[bytes] | ForkedCommand
_START_SECONDS = 180.0
_STOP_SECONDS = 90.0
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "SYSTEMROOT", "VIRTUAL_ENV", "XDG_CACHE_HOME")
_KEPT_PREFIXES = (
    "UV_",
    "PIP_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)


@dataclass(frozen=True, slots=True)
class ServedRuntime:
    """A runtime that is up: how to reach it, its process, and its home."""

    url: str
    key: str
    pid: int
    home: Path
    process: Process | None = None

    def kill(self) -> None:
        """End its process as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.wait()

    def wait(self) -> None:
        """Until its process has ended."""
        assert self.process is not None
        self.process.wait(_STOP_SECONDS)

    def call(self, method: str, path: str, body: Any = None, *, timeout: float = 300) -> Any:
        """One request with the home's key; the JSON of the answer. Fails the test with the answer where it is an error."""
        request = urllib.request.Request(
            f"{self.url}{path}", method=method, headers={"Authorization": self.key}
        )
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with _opener().open(request, timeout=timeout) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(
                    f"{method} {path}: {error.code} {error.read(4000).decode(errors='replace')}"
                ) from None

    def deploy(self, code: str, name: str, **more: Any) -> str:
        """Deploy code, agreeing to whatever it asks for; its service id."""
        body = {"code": code, "name": name, "allow": True, **more}
        return str(self.call("POST", "/deploy", body, timeout=600)["service_id"])

    def environment(self) -> dict[str, str]:
        """The variables with which a client finds this runtime."""
        return {"CODEWORDS_API_KEY": self.key, "CODEWORDS_RUNTIME_URI": self.url, "RUNTIME_URI": self.url}


@contextmanager
def start_runtime(
    home: Path, *, under: Sequence[str] = (), python: str | Path = "", **env: str
) -> Generator[ServedRuntime]:
    """Serve `home` on a free port; ends with SIGTERM, which must give exit 0 in time.

    Settings of the caller's environment do not reach it; those in `env` do. `under` is a command that becomes the
    runtime, in a mount namespace of its own: the home is then given as it is there. `python` is the interpreter that
    runs it, of another environment, or because the start counts or what /proc shows of it; else it is a fork, see `command_server`.
    """
    home.mkdir(parents=True, exist_ok=True)
    log = home / "serve.log"
    variables = environment(home) | env
    with log.open("ab") as out, open(os.devnull, "rb") as nothing:
        process: Process
        if under or python:
            command = [*under, python or sys.executable, "-m", "codewords_mcp", "serve", "--port", "0"]
            process = subprocess.Popen(
                command, env=variables, stdin=nothing, stdout=out, stderr=subprocess.STDOUT
            )
        else:
            streams = (nothing.fileno(), out.fileno(), out.fileno())
            process = command_server().start(["codewords-mcp", "serve", "--port", "0"], variables, streams)
    try:
        seen = Path(f"/proc/{process.pid}/root{home}") if under else home
        yield wait_until_up(process, seen, log)
    finally:
        _stop(process, log)


def environment(home: Path) -> dict[str, str]:
    """What a runtime of this home gets of the caller's environment."""
    kept = {
        name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)
    }
    return kept | {
        "CODEWORDS_HOME": str(home),
        "CODEWORDS_OPEN_BROWSER": "never",
        "CODEWORDS_DRAIN_TIMEOUT": "1",  # a test that leaves a run behind need not wait for it
        "PYTHONUNBUFFERED": "1",
    }


def wait_until_up(process: Process, home: Path, log: Path) -> ServedRuntime:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(
                f"the runtime ended with exit code {process.returncode} before it was up:\n{_tail(log)}"
            )
        if found := _published(home, process.pid):
            return replace(found, process=process)
        time.sleep(0.05)
    raise AssertionError(f"the runtime was not up within {_START_SECONDS:g} seconds:\n{_tail(log)}")


def _published(home: Path, pid: int) -> ServedRuntime | None:
    """The runtime as its home tells, once it answers."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        info = json.loads((home / "runtime.json").read_text(encoding="utf-8"))
        if info["pid"] != pid:  # left by a runtime that died in this home
            return None
        with _opener().open(f"{info['url']}/healthz", timeout=5) as answer:
            if json.loads(answer.read())["status"] == "ok":
                return ServedRuntime(info["url"], info["token"], pid, home)
    return None


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _stop(process: Process, log: Path) -> None:
    gone_before = process.poll()
    if gone_before is None:
        process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(
            f"the runtime did not stop within {_STOP_SECONDS:g} seconds of SIGTERM:\n{_tail(log)}"
        ) from None
    if gone_before is None:
        assert code == 0, f"the runtime stopped with exit code {code}:\n{_tail(log)}"


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-4000:]
