"""`codewords dev` as a process that tells its events, and requests to its address."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from tests.integration.cli.terminal import Shell
from tests.support.command_server import command_server
from tests.support.waiting import until

Event = dict[str, Any]


class DevCommand:
    """A running `codewords dev`: its events as they come."""

    def __init__(self, shell: Shell, *words: str) -> None:
        self.events: list[Event] = []
        self._stdin, stdin = os.pipe()[::-1]
        stdout, self._stdout = os.pipe()
        with (shell.home / "dev.log").open("ab") as errors:
            self._command = command_server().start(
                ["codewords", "dev", *words, "--json"], shell.env, (stdin, self._stdout, errors.fileno())
            )
        for end in (stdin, self._stdout):
            os.close(end)
        self._reader = threading.Thread(target=self._read, args=(stdout,))
        self._reader.start()

    def _read(self, fd: int) -> None:
        with open(fd, encoding="utf-8") as lines:
            self.events.extend(map(json.loads, lines))

    def wait(self, kind: str, matches: Callable[[Event], bool] = lambda _: True, *, times: int = 1) -> Event:
        """The last of so many events of a kind."""

        def found() -> list[Event]:
            return [event for event in list(self.events) if event["event"] == kind and matches(event)]

        until(lambda: len(found()) >= times, f"{times} {kind}: {self.events[-8:]}", timeout=60)
        return found()[times - 1]

    @property
    def url(self) -> str:
        """The first address that it tells."""
        return str(self.wait("ready")["urls"][0])

    def ask(self, path: str = "", body: Any = None, **more: Any) -> httpx2.Response:
        """POST JSON to the address."""
        return httpx2.post(f"{self.url}{path}", json=body or {}, timeout=60, trust_env=False, **more)

    def type(self, text: str) -> None:
        os.write(self._stdin, text.encode())

    def end(self, signal_number: signal.Signals = signal.SIGINT) -> int:
        """End it as Ctrl-C does; the exit code."""
        self._command.send_signal(signal_number)
        code = self._command.wait(30)
        self._reader.join(30)
        os.close(self._stdin)
        return code


@contextmanager
def developing(shell: Shell, *words: str) -> Generator[DevCommand]:
    """A `codewords dev` that is ended with the block, and ends well."""
    command = DevCommand(shell, *words)
    try:
        yield command
    except BaseException:
        command.end(signal.SIGKILL)
        raise
    assert command.end() == 0, command.events[-5:]


def free_port() -> int:
    """A port of loopback that nothing has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def replace(file: Path, code: str) -> None:
    """Save as editors do that write a new file and rename it."""
    new = file.with_suffix(".new")
    new.write_text(code, encoding="utf-8")
    new.replace(file)
