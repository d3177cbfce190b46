"""`codewords logs`."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._client import Json, RuntimeClient
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import RunRef, part, run_id
from codewords_mcp.cli._times import of_log
from codewords_mcp.errors import RuntimeUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_STYLES = {"debug": "dim", "warning": "yellow", "error": "red", "critical": "bold red"}


class Level(StrEnum):
    """Levels of log lines; a line that says none counts as info."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"
    critical = "critical"


def logs(
    run: RunRef,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    level: Annotated[
        Level | None, typer.Option(help="Only lines of this level and above.", show_default=False)
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Also what the workflow's HTTP server says.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print all lines as a JSON array, in UTC; with -f one object a line."),
    ] = False,
) -> int:
    """Print what a run wrote, in local time. Ctrl-C stops printing; the run goes on.

    A traceback counts as error. Lines that a logger wrote as JSON are shown as text.
    """
    with connect() as client:
        found = _entries(client, run_id(client, run), follow=follow, level=level)
        try:
            if as_json and not follow:
                _output.print_json(list(found))
                return OK

            hidden = shown = 0
            for entry in found:
                if as_json:
                    _output.json_line(entry)
                elif not everything and _is_server_line(entry):
                    hidden += 1
                else:
                    _print(entry)
                    shown += 1

            if hidden and not shown:
                _output.note("It wrote nothing itself; --all shows what its HTTP server said.")
        except KeyboardInterrupt:
            # The usual way to end `-f`, and no failure.
            return OK

    return OK


def _entries(client: RuntimeClient, id_: str, *, follow: bool, level: Level | None) -> Iterator[Json]:
    """The log's entries; a follower that loses the runtime goes on after the last entry it has seen."""
    after: str | None = None
    failures = 0

    while True:
        try:
            params = {"after": after, "follow": None if follow else 0, "level": level and level.value}
            for entry in client.lines("GET", f"/logs/{part(id_)}", params=params):
                failures = 0
                if entry is not None:
                    after = entry["createdAt"]
                    yield entry
        except RuntimeUnavailable:
            failures += 1
            # The runtime may restart under a follower; the log goes on after the last line
            # seen.
            if not follow or failures > 3:
                raise

            time.sleep(1)
            continue

        return


def _is_server_line(entry: Json) -> bool:
    from codewords_mcp.runtime.model.log_text import is_server_line

    return is_server_line(str(entry.get("stream")), str(entry.get("message", "")))


def _print(entry: Json) -> None:
    from codewords_mcp.runtime.model.log_text import readable

    message, stream = str(entry.get("message", "")), str(entry.get("stream"))
    level = entry.get("level")
    text = message

    if logged := readable(message):
        level, log_text = logged
        if level in {None, "info"}:
            text = log_text
        else:
            text = f"[{level}] {log_text}"
    elif stream == "platform":
        text = f"· {message}"

    style = _STYLES.get(str(level), "cyan" if stream == "platform" else "")
    when = of_log(str(entry["createdAt"]))
    for number, line in enumerate(text.split("\n")):
        _output.line(f"{when if number == 0 else ' ' * len(when)}  {line}", style)
    sys.stdout.flush()
