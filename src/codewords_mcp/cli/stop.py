"""`stop` and `resume`: end the home's runtime, and let a restored home go on."""

from __future__ import annotations

from typing import Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._client import RuntimeClient
from codewords_mcp.cli._connect import connect, remote_endpoint
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.stdio import home, lifecycle


def stop(as_json: AsJson = False) -> int:
    """End the home's runtime; what is deployed stays, and the next command starts it again.

    With CODEWORDS_RUNTIME_URL set, the runtime there is asked to end; that needs an admin key.
    """
    remote = remote_endpoint()
    if remote is not None:
        with RuntimeClient(remote) as client:
            client.call("POST", "/stop")
        stopped, url, pid = True, remote.url, None
    else:
        with _output.spinner("Waiting for the runtime to end"):
            info = lifecycle.stop(home.home_folder())
        stopped, url, pid = info is not None, info and info.url, info and info.pid

    if as_json:
        _output.print_json({"stopped": stopped, "url": url, "pid": pid})
    elif stopped:
        _output.line(f"The runtime at {url} has ended.")
    else:
        _output.line("No runtime was running.")

    return OK


def resume(
    cancel_waiting: Annotated[
        bool, typer.Option(help="Cancel the runs that waited in the backup; webhooks that waited start none.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Let a restored home go on: its schedules, triggers and waiting runs.

    A home that was restored starts with them paused, since the home of the backup may have done since what waits here.
    Schedules go on with their next time from now. `codewords doctor` says what waits.
    """
    with connect() as client:
        resumed = bool(client.record("POST", "/resume", body={"cancel_waiting": cancel_waiting})["resumed"])
    if as_json:
        _output.print_json({"resumed": resumed})
    elif resumed:
        if cancel_waiting:
            waited = "were cancelled"
        else:
            waited = "go on"

        _output.line(f"Schedules and triggers are active; runs that waited {waited}.")
    else:
        _output.line("This home was not paused.")

    return OK
