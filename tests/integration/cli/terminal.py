"""A person at a shell: the real commands as processes, in a home of their own, piped or on a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.command_server import command_server
from tests.support.waiting import until

from codewords_mcp.stdio import home as homes

BIN = Path(sys.executable).parent
FEW = "environments-of-commands"
"""The folder of environments that homes of these tests share."""
_REDRAWN = re.compile(r"[^\n]*\r\x1b\[2K")
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\r")


@dataclass(frozen=True)
class Result:
    """What a piped command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout as the one JSON value that it must be."""
        return json.loads(self.out)


@dataclass
class Shell:
    """Runs `codewords` and `codewords-mcp` with `CODEWORDS_HOME` set; `extra` is merged over the environment."""

    home: Path
    extra: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CODEWORDS_")}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        return (
            kept
            | {"CODEWORDS_HOME": str(self.home), "CODEWORDS_OPEN_BROWSER": "never"}
            | {"PATH": path, "TERM": "xterm", "COLUMNS": "80"}
            | self.extra
        )

    def __call__(self, *words: str, stdin: str = "", timeout: float = 240) -> Result:
        """One command with everything piped."""
        return Result(*command_server().run(words, self.env, stdin, timeout))

    def serve(self) -> None:
        """Start the home's runtime as a command would, but forked; `codewords stop` ends it."""
        with open(os.devnull, "rb") as nothing, (self.home / "serve.log").open("ab") as log:
            streams = (nothing.fileno(), log.fileno(), log.fileno())
            runtime = command_server().start(["codewords-mcp", "serve", "--detached"], self.env, streams)
        until(lambda: homes.find(str(self.home)) or runtime.poll() is not None, "the runtime to listen")
        assert runtime.returncode is None, (self.home / "serve.log").read_text(encoding="utf-8")

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command that goes on, piped; the caller ends it."""
        return subprocess.Popen(
            [str(BIN / words[0]), *words[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", env=self.env,
        )  # fmt: skip


class Terminal:
    """A command on a terminal of 80 columns: what it shows, and keys typed into it."""

    def __init__(self, shell: Shell, *words: str) -> None:
        self.shown = ""
        self._fd, terminal = pty.openpty()
        try:
            self._command = command_server().start(words, shell.env, (terminal, terminal, terminal))
        finally:
            os.close(terminal)

    @property
    def plain(self) -> str:
        """What was shown, without colours, cursor movement and lines that were drawn over."""
        return _CONTROL.sub("", _REDRAWN.sub("", self.shown))

    def expect(self, text: str, timeout: float = 60) -> None:
        """Read until the text was shown."""
        deadline = time.monotonic() + timeout
        while text not in _CONTROL.sub("", self.shown):
            assert self._read(deadline - time.monotonic()), (
                f"{text!r} did not come; shown so far: {self.plain!r}"
            )

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def interrupt(self) -> None:
        self._command.send_signal(signal.SIGINT)

    def end(self, timeout: float = 60) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + timeout
        while self._read(deadline - time.monotonic()):
            pass
        os.close(self._fd)
        return self._command.wait(timeout)

    def _read(self, timeout: float) -> bool:
        """One chunk; False at the end of what it shows. Fails when nothing comes in time."""
        ready, _, _ = select.select([self._fd], [], [], max(timeout, 0))
        assert ready, f"nothing more came; shown so far: {self.plain!r}"
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # Linux: the program's side is closed
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)
