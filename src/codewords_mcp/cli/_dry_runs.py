"""Dry runs at a terminal: what one held, and running it for real."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from codewords_mcp.cli import _output
from codewords_mcp.cli._agree import agreed
from codewords_mcp.cli._boundary import FAILED, OK
from codewords_mcp.cli._client import SLOW, RemoteError, RuntimeClient
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import part, run_id
from codewords_mcp.cli._remedies import worded
from codewords_mcp.cli._run_report import answer
from codewords_mcp.errors import Forbidden, RuntimeUnavailable

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json

_SHOWN: Final = 20
"""Writes that were sent which are listed."""
_DECLINED: Final = Forbidden("You declined; nothing was sent.")


def require_dry_runs(client: RuntimeClient, provisioned: str) -> None:
    """Raise RuntimeUnavailable for an older runtime, which would take a dry run for a real one."""
    try:
        client.record("GET", f"/runs/{part(provisioned)}/writes")
    except RemoteError as error:
        # The route is there: it says that this run, which has not begun, is no dry run.
        if error.code == "invalid_input":
            return
        raise RuntimeUnavailable(
            "The runtime is of a version that has no dry runs; nothing was run.",
            hint="codewords stop, then again.",
        ) from error


def print_writes(client: RuntimeClient, id_: str) -> None:
    """List what a dry run held, and what comes next."""
    found = client.record("GET", f"/runs/{part(id_)}/writes")
    writes = cast("list[Json]", found["writes"])
    if found.get("expired"):
        _output.note("What it held is no longer kept.", always=True)
        return
    if not writes:
        _output.note("It would write nothing.", always=True)
        return

    _print_sent([write for write in writes if write["state"] in {"sent", "unknown"}])
    if not found["lines"]:
        _output.note("Nothing is held any more.", "bold", always=True)
        return
    waiting = sum(write["state"] in {"held", "agreed"} for write in writes)
    _output.note(f"Held, not sent: {waiting}", "bold", always=True)
    for line in cast("list[str]", found["lines"]):
        _output.note(f"  - {line}", "yellow", always=True)
    for line in cast("list[str]", found["varies"]):
        _output.note(f"  may differ: {line}", always=True)
    if found["problem"]:
        _output.note(f"It cannot be applied: {found['problem']}.", always=True)
    else:
        _output.note(f"Send exactly this: codewords runs apply {found['run_id']}", always=True, whole=True)


def _print_sent(writes: list[Json]) -> None:
    if writes:
        _output.note(f"Sent, once each: {len(writes)}", "bold", always=True)
    for write in writes[:_SHOWN]:
        if write["state"] == "unknown":
            came, style = "its answer is not on record: whether it was carried out is UNKNOWN", "bold red"
        else:
            status = write.get("status")
            came, style = f"answered {status}" if status else "no answer yet", ""
        body = f"  {write['body']}" if write["body"] else ""
        _output.note(f"  - {write['method']} {write['address']}{body} → {came}", style, always=True)
    if len(writes) > _SHOWN:
        _output.note(f"  and {len(writes) - _SHOWN} more: --json lists all", always=True)


def apply(run: str, *, allow: bool, as_json: bool) -> int:
    """Ask the person at the terminal, run the workflow for real, and wait for its end."""
    with connect() as client:
        path = f"/runs/{part(run_id(client, run))}/apply"
        try:
            started = client.record("POST", path, body={"allow": allow})
        except RemoteError as error:
            if error.code != "consent_needed":
                raise
            confirm = agreed(error, as_json=as_json, declined=_DECLINED, ask="Send these, each once?")
            started = client.record("POST", path, body={"confirm": confirm})

        new_run = str(started["request_id"])
        with _output.spinner(f"Running {new_run}"):
            record = client.record("GET", f"/result/{part(new_run)}", timeout=SLOW)
        if as_json:
            _output.print_json(record)
        else:
            _output.line(f"{new_run} {record['status']}", "bold")
            if text := answer(record):
                _output.labelled("", "", "answer", text)
            print_writes(client, new_run)
            if error_of_run := record.get("error"):
                hint = worded(error_of_run.get("hint"), error_of_run.get("remedy"))
                _output.error(str(error_of_run["message"]), hint)
    if record["status"] == "succeeded":
        return OK
    return FAILED
