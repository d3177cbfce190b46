"""What a workflow may do, shown to a person at a terminal, and their yes to it."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, cast

import typer

from codewords_mcp.cli import _output
from codewords_mcp.errors import ConsentNeeded, Forbidden

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json, RemoteError


def print_capabilities(record: Json) -> None:
    """The manifest of a report, deployment or workflow, where it has one."""
    lines = cast("list[str]", record.get("capabilities") or [])
    if lines:
        # Lines are aligned as a table; of a table of one line its words are enough.
        only = " ".join(lines[0].split())
        _output.prose("May do this and no more:" if len(lines) > 1 else f"May do: {only}", "bold")
    for line in lines if len(lines) > 1 else []:
        _output.line(f"  {line}")


def agreed(question: RemoteError, *, as_json: bool) -> str:
    """The question's token, once the person at the terminal has agreed.

    Raises ConsentNeeded with the command to type where nobody is there to ask, Forbidden where they decline.
    """
    details = question.details()
    asks = cast("list[str]", details.get("asks") or [])
    confirm, url = str(details.get("confirm") or ""), str(details.get("url") or "")
    if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        if not as_json:
            _show("What it asks for:", asks)
        command = shlex.join([*_called(), "--allow"])
        raise ConsentNeeded(
            question.message,
            asks=asks,
            confirm=confirm,
            url=url,
            hint=f"To agree to all of this, run: {command}",
        )
    _show(question.message, asks)
    if not typer.confirm("Do you agree?", default=False, err=True):
        raise Forbidden(
            "You declined; nothing was deployed.", hint="Change what the workflow reaches, then deploy again."
        )
    return confirm


def _show(message: str, asks: list[str]) -> None:
    _output.note(message, "bold", always=True)
    for line in asks:
        _output.note(f"  + {line}", "yellow", always=True)


def _called() -> list[str]:
    """The command as it was typed, with the program's own name."""
    return ["codewords", *sys.argv[1:]]
