"""`codewords config`."""

from __future__ import annotations

from typing import Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, WorkflowRef, part, workflow_id
from codewords_mcp.errors import InvalidInput


def config(
    workflow: WorkflowRef,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME=VALUE", help="Values to set; without any they are listed.", show_default=False
        ),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option("--remove", metavar="NAME", help="A value to remove. Repeat it for more."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show or set plain configuration values of a workflow, which its next run gets as variables.

    They are no secrets: everybody who may read the workflow reads them.
    """
    changes = dict(map(_parsed, values or []))
    with connect() as client:
        path = f"/workflows/{part(workflow_id(client, workflow))}/config"
        found = client.record("GET", path)
        if changes or remove:
            # PUT replaces all values, so those that stay are sent too.
            after = {
                name: value
                for name, value in (found["values"] | changes).items()
                if name not in (remove or ())
            }
            found = client.record("PUT", path, body={"values": after})

    if as_json:
        _output.print_json(found)
        return OK
    _output.table(
        ["NAME", "VALUE"], [[name, value] for name, value in found["values"].items()],
        empty=f"No configuration values. `codewords config {workflow} NAME=VALUE` sets one.",
    )  # fmt: skip
    for note in found["notes"]:
        _output.note(note, "yellow", always=True)
    return OK


def _parsed(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InvalidInput(f"`{text}` sets nothing.", hint="Write NAME=VALUE, as in REPORT_LIMIT=20.")
    return name.strip(), value
