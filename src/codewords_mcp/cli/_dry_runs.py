"""Dry runs at a terminal: what one held, and running it for real."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from codewords_mcp.cli import _output
from codewords_mcp.cli._agree import agreed
from codewords_mcp.cli._boundary import FAILED, OK
from codewords_mcp.cli._client import SLOW, RemoteError, RuntimeClient
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import part, run_id
from codewords_mcp.errors import Forbidden, RuntimeUnavailable

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json


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
    sent = sum(write["state"] == "sent" for write in writes)
    waiting = len(writes) - sent
    if not writes:
        _output.note("It would write nothing.", always=True)
        return

    title = f"Held, not sent: {waiting}" if waiting else "Nothing is held any more."
    _output.note(title + (f" (sent: {sent})" if sent else ""), "bold", always=True)
    for line in cast("list[str]", found["lines"]):
        _output.note(f"  - {line}", "yellow", always=True)
    for line in cast("list[str]", found["varies"]):
        _output.note(f"  may differ: {line}", always=True)
    if waiting and not found["problem"]:
        _output.note(f"Send exactly this: codewords runs apply {found['run_id']}", whole=True)
    elif waiting:
        _output.note(f"It cannot be applied: {found['problem']}.", always=True)


def apply(run: str, *, allow: bool, as_json: bool) -> int:
    """Ask the person at the terminal, run the workflow for real, and wait for its end."""
    with connect() as client:
        path = f"/runs/{part(run_id(client, run))}/apply"
        try:
            started = client.record("POST", path, body={"allow": allow})
        except RemoteError as error:
            if error.code != "consent_needed":
                raise
            confirm = agreed(error, as_json=as_json, declined=Forbidden("You declined; nothing was sent."))
            started = client.record("POST", path, body={"confirm": confirm})

        new_run = str(started["request_id"])
        with _output.spinner(f"Running {new_run}"):
            record = client.record("GET", f"/result/{part(new_run)}", timeout=SLOW)
        if as_json:
            _output.print_json(record)
        else:
            _output.line(f"{new_run} {record['status']}", "bold")
            print_writes(client, new_run)
            if error_of_run := record.get("error"):
                _output.error(str(error_of_run["message"]), str(error_of_run.get("hint") or ""))
    return OK if record["status"] == "succeeded" else FAILED
