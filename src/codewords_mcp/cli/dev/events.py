"""Output of `codewords dev`: lines for a person, or one JSON object a line for a program."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from codewords_mcp.cli import _output
from codewords_mcp.cli._checks import position_of
from codewords_mcp.cli._client import Json
from codewords_mcp.cli._remedies import worded
from codewords_mcp.runtime.model.log_text import is_server_line, readable

_MARKS = {"failed": ("✗", "bold red"), "warning": ("!", "yellow"), "note": ("i", "cyan")}
_LEVELS = {"debug": "dim", "warning": "yellow", "error": "red", "critical": "bold red"}
_PROGRAM: Final = "/app/main.py"
"""The code of a program in its sandbox."""
_INSTALLED = re.compile(r'File "/env/lib/python[\d.]+/site-packages/([\w/]+\.py)"')
"""A file of a package or shared module in a sandbox."""
_ANSWER = 2000
"""Characters of an answer that are shown."""


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """A request that was answered. `run_id` is empty where it came to no run."""

    file: str
    method: str
    path: str
    status: int
    ms: float
    run_id: str = ""


class Events:
    """Prints what happens. With `as_json` each event is an object with its kind in `event`."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def say(self, event: str, text: str, style: str = "", **facts: Any) -> None:
        """Tell of an event: the sentence, or with `--json` its facts and the sentence as `message`."""
        if self._as_json:
            _output.json_line({"event": event, **facts, "message": text})
        else:
            _print(f"{_clock()}  {text}", style)

    def detail(self, text: str, style: str = "") -> None:
        """A line that belongs to the event before; it is left out of JSON."""
        if not self._as_json:
            for line in text.split("\n"):
                _print(f"          {line}", style)

    def served(self, file: str, revision: int, ms: float, *, built: bool) -> None:
        """Tell that a file's new code is served."""
        packages = ", with a new environment" if built else ""
        self.say(
            "served", f"{file} is served as revision {revision} after {ms:.0f} ms{packages}", "green",
            file=file, revision=revision, ms=round(ms, 1), environment_built=built,
        )  # fmt: skip

    def problem(self, file: str, message: str, hint: str = "", position: str = "", **facts: Any) -> None:
        """Tell why a file is not served."""
        place = f"{file}{position}: " if file else ""
        self.say("problem", f"✗ {place}{message}", "bold red", file=file, hint=hint, **facts)
        if hint:
            self.detail(hint)

    def checks(self, file: str, checks: Sequence[Json], *, ready: bool) -> None:
        """Tell what the checks of a file found, where it is more than nothing."""
        found = [check for check in checks if check["status"] in _MARKS]
        if self._as_json:
            _output.json_line({"event": "checked", "file": file, "ready": ready, "checks": found})
            return
        for check in found:
            mark, style = _MARKS[check["status"]]
            place = position_of(check, file) or f"{file}: "
            _print(f"{_clock()}  {mark} {check['id']}: {place}{check['message']}", style)
            if check.get("fix"):
                self.detail(worded(check["fix"], check.get("remedy")))
        if not found:
            self.say("checked", f"{file}: all checks passed", "dim")

    def answered(self, request: AnsweredRequest) -> None:
        """Tell of a request, with its status, time and run."""
        good = request.status < 400
        style = "green" if good else "bold red"
        run = f"  run {request.run_id}" if request.run_id else ""
        self.say(
            "request", f"{request.method} {request.path} → {request.status}  {request.ms:.0f} ms{run}", style,
            file=request.file, method=request.method, path=request.path, status=request.status,
            ms=round(request.ms, 1), run_id=request.run_id or None,
        )  # fmt: skip

    def log(self, run_id: str, entry: Json, path: Path) -> None:
        """Print an entry of a run's log, without what the workflow's HTTP server says of itself.

        A traceback names the file at `path`, where a person finds the line, and not the sandbox's copy of it.
        """
        message, stream = str(entry.get("message", "")), str(entry.get("stream"))
        message = message.replace(f'File "{_PROGRAM}"', f'File "{path}"')
        message = _INSTALLED.sub(partial(_beside, path), message)
        if is_server_line(stream, message):
            return
        if self._as_json:
            _output.json_line({"event": "log", "run_id": run_id, **entry, "message": message})
            return
        level, text = entry.get("level"), message
        if logged := readable(message):
            level, text = logged
        style = _LEVELS.get(str(level), "cyan" if stream == "platform" else "")
        self.detail(f"· {text}" if stream == "platform" else text, style)

    def answer(self, text: str) -> None:
        """Show the answer to a call that was made here."""
        if self._as_json:
            _output.json_line({"event": "answer", "text": text})
            return
        self.detail(text if len(text) <= _ANSWER else text[:_ANSWER] + " …", "bold")


def _beside(path: Path, found: re.Match[str]) -> str:
    """The file of a shared module, in place of its installed copy; packages of the index keep their paths."""
    file = path.parent / found[1]
    return f'File "{file}"' if file.is_file() else found[0]


def _print(text: str, style: str) -> None:
    _output.line(text, style)
    # A reader at the other end of a pipe follows it.
    sys.stdout.flush()


def _clock() -> str:
    return time.strftime("%H:%M:%S")
