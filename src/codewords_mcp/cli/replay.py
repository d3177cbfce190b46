"""`codewords replay`: what a draft or version makes of recorded runs."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._call import read_input
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, is_draft, run_id, workflow_id

EXIT_CODES: Final = {"same": 0, "changed": 1, "worse": 1, "cannot tell": 2}
_STYLES: Final = {"same": "green", "changed": "yellow", "worse": "bold red", "cannot tell": "yellow"}


def replay(
    workflow: Annotated[
        str,
        typer.Argument(
            metavar="WORKFLOW", help="A workflow's id or name, or a draft's id.", show_default=False
        ),
    ],
    run: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]…", help="These recorded runs. Else the latest.", show_default=False),
    ] = None,
    draft: Annotated[
        str | None, typer.Option(help="On this draft. Else on the workflow's open draft, or what is live.")
    ] = None,
    version: Annotated[int | None, typer.Option(min=1, help="On this version.")] = None,
    last: Annotated[int, typer.Option(min=1, max=100, help="So many of the latest recorded runs.")] = 20,
    live_reads: Annotated[
        bool, typer.Option("--live-reads", help="Send reads that are not on the recording.")
    ] = False,
    budget: Annotated[
        float, typer.Option(min=0, help="US dollars for model calls whose prompt changed.")
    ] = 0.0,
    data: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="JSON", help="Ask this instead of what was recorded.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Replay recorded runs on a draft or version, without sending anything, and say what differs.

    With --input it is asked that instead, and the latest recording answers its requests: it says what it answers and
    would write.

    Exit codes: 0 all the same · 1 something changed · 2 not everything can be told.
    """
    with connect() as client:
        body: dict[str, Any] = {"version": version, "last": last, "live_reads": live_reads, "budget": budget}
        if is_draft(workflow):
            body["draft_id"] = workflow
        else:
            body |= {"service_id": workflow_id(client, workflow), "draft_id": draft}
        if data is not None:
            body["input"] = json.loads(read_input(data))
        if run:
            body["runs"] = [run_id(client, one) for one in run]
        with _output.spinner("Replaying recorded runs") as say:
            done = client.call_with_progress("/replays", body, say)

    verdict = str(done["report"]["verdict"])
    if as_json:
        _output.print_json(done)
        return EXIT_CODES[verdict]

    first, *rest = str(done["text"]).splitlines()
    _output.line(f"{done['of']}: {first}", _STYLES[verdict])
    for line in rest:
        _output.line(line)
    return EXIT_CODES[verdict]
