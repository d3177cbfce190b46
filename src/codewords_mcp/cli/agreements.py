"""`codewords agreements list | withdraw`."""

from __future__ import annotations

from typing import Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, part
from codewords_mcp.cli._times import to_minute

app = typer.Typer(
    no_args_is_help=True, help="What you agreed to before workflows of other owners ran for you."
)


@app.command("list")
def list_agreements(as_json: AsJson = False) -> int:
    """List the workflows of other owners that you agreed to, the newest agreement first."""
    with connect() as client:
        items = client.items("/agreements")
    if as_json:
        _output.print_json(items)
        return OK

    rows = [
        [
            item["service_id"],
            item["published_by"],
            to_minute(item["agreed_at"]),
            "; ".join(" ".join(line.split()) for line in item["capabilities"]),
        ]
        for item in items
    ]
    headers = ["WORKFLOW", "PUBLISHED BY", "AGREED", "MAY DO"]
    _output.table(headers, rows, empty="You have agreed to no workflow of another owner.")

    return OK


@app.command()
def withdraw(
    workflow: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The workflow's id, as `codewords agreements list` shows it.",
            show_default=False,
        ),
    ],
    as_json: AsJson = False,
) -> int:
    """End an agreement: the next run of that workflow asks you again. Runs that have begun go on."""
    with connect() as client:
        client.call("DELETE", f"/agreements/{part(workflow)}")
    if as_json:
        _output.print_json({"service_id": workflow, "withdrawn": True})
    else:
        _output.line(f"The agreement to {workflow} is withdrawn.")
    return OK
