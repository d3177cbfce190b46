"""A chat host in small: starts the front, speaks raw JSON-RPC lines with it, and keeps everything it said."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.waiting import until

from codewords_mcp.stdio import home

Json = dict[str, Any]
MAX_WAIT_S = 150.0
MODERN = "2026-07-28"
LEGACY = "2025-11-25"
ENVELOPE: Json = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}


def environment(folder: Path, **more: str) -> dict[str, str]:
    """This environment (registries, certificates) around a home of the test's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CODEWORDS_")}
    return (
        kept | {"CODEWORDS_HOME": str(folder), "CODEWORDS_PORT": "0", "CODEWORDS_IDLE_TIMEOUT": "60"} | more
    )


class Standin:
    """A stand-in runtime in a home, ended by SIGKILL; use as a context manager."""

    def __init__(self, home: Path, **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("mcp_runtime_double.py")), str(home)],
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=environment(home, **env),
        )

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()


def end_runtime(folder: Path) -> None:
    """Kill whatever runtime holds a home, and wait until it is gone."""
    while pid := home.holder(str(folder)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: home.holder(str(folder)) != pid, "the runtime to die")


class Peer:
    """Use as a context manager. `lines` is all of stdout, `errors` all of stderr."""

    def __init__(self, env: Mapping[str, str], *args: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "codewords_mcp", *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
        )
        self.lines: list[bytes] = []
        self.errors = ""
        self._incoming: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        self._aside: list[Json] = []
        self._last_id = 0
        self._threads = [threading.Thread(target=self._read_out), threading.Thread(target=self._read_err)]
        for thread in self._threads:
            thread.start()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            self._incoming.put(json.loads(line))
        self._incoming.put(None)

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors += line.decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> int:
        """Close stdin and wait for the exit; its code."""
        assert self.process.stdin is not None
        if not self.process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        return self.wait()

    def wait(self) -> int:
        """Wait for the exit; its code."""
        try:
            self.process.wait(MAX_WAIT_S)
        finally:
            self.process.kill()
            for thread in self._threads:
                thread.join()
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                if pipe is not None:
                    pipe.close()
        return self.process.returncode

    def write(self, raw: bytes) -> None:
        """Bytes as they are."""
        assert self.process.stdin is not None
        self.process.stdin.write(raw)
        self.process.stdin.flush()

    def send(self, message: Any) -> None:
        """One message on one line."""
        self.write(json.dumps(message).encode() + b"\n")

    def ask(self, method: str, params: Json | None = None) -> int:
        """Send a request; its id."""
        self._last_id += 1
        self.send({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params or {}})
        return self._last_id

    def notify(self, method: str, params: Json | None = None) -> None:
        """Send a notification."""
        self.send({"jsonrpc": "2.0", "method": method, "params": params or {}})

    def receive(self, wanted: Callable[[Json], bool]) -> Json:
        """The first message for which `wanted` is true; others wait for their turn."""
        for index, message in enumerate(self._aside):
            if wanted(message):
                return self._aside.pop(index)
        deadline = time.monotonic() + MAX_WAIT_S
        while True:
            message = self._incoming.get(timeout=max(0.01, deadline - time.monotonic()))
            if message is None:
                raise AssertionError(f"the front ended; it said: {self.errors}")
            if wanted(message):
                return message
            self._aside.append(message)

    def answer(self, request_id: Any) -> Json:
        """The answer to a request."""
        return self.receive(lambda message: "method" not in message and message.get("id") == request_id)

    def request(self, method: str, params: Json | None = None) -> Json:
        """Ask and wait for the answer."""
        return self.answer(self.ask(method, params))

    def modern(self, method: str, params: Json | None = None) -> Json:
        """Ask in the newer era and wait for the answer."""
        return self.request(method, {**(params or {}), "_meta": ENVELOPE})

    def initialize(self) -> Json:
        """The older era's handshake; the answer to `initialize`."""
        info = {"name": "test", "version": "1"}
        answer = self.request(
            "initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": info}
        )
        self.notify("notifications/initialized")
        return answer

    def call(self, era: str, tool: str, arguments: Json | None = None) -> Json:
        """tools/call in "legacy" or "modern"; the whole answer."""
        params: Json = {"name": tool, "arguments": arguments or {}}
        return self.modern("tools/call", params) if era == "modern" else self.request("tools/call", params)


def texts(answer: Json) -> list[str]:
    """The text blocks of a tool's result."""
    return [block["text"] for block in answer["result"]["content"] if block["type"] == "text"]


def tool_result(peer: Peer, tool: str, **arguments: Any) -> Json:
    answer = peer.call("modern", tool, arguments)
    assert "result" in answer, answer
    assert not answer["result"].get("isError"), texts(answer)
    return answer["result"]["structuredContent"]
