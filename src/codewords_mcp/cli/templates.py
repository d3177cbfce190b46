"""`codewords templates`."""

from __future__ import annotations

from typing import Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._client import Json
from codewords_mcp.cli._completion import complete_template
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, part, workflow_id
from codewords_mcp.errors import NotFound


def templates(
    template: Annotated[
        str | None,
        typer.Argument(
            metavar="ID", help="One template: its code.", show_default=False, autocompletion=complete_template
        ),
    ] = None,
    query: Annotated[
        str, typer.Option("--query", "-q", help="Only those that share words with this, the best first.")
    ] = "",
    category: Annotated[
        str, typer.Option(help="Only those of this category; with --add, the new one's.")
    ] = "",
    add: Annotated[
        str | None, typer.Option(metavar="WORKFLOW", help="Put a workflow of yours among them first.")
    ] = None,
    remove: Annotated[
        str | None, typer.Option(metavar="WORKFLOW", help="Take a workflow of yours out of them first.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List the workflows to start from, or print one's code; deploy one with `codewords deploy --template ID`."""
    with connect() as client:
        if add is not None:
            path = f"/workflows/{part(workflow_id(client, add))}/template"
            client.call("PUT", path, body={"category": category or "own"})

        if remove is not None:
            client.call("DELETE", f"/workflows/{part(workflow_id(client, remove))}/template")
        found = client.record(
            "GET", "/templates", params={"query": query or None, "category": category or None}
        )

    items: list[Json] = found["items"]
    if template is not None:
        one = find_template(items, template)
        _output.print_json(one) if as_json else _output.line(one["code"].rstrip())
    else:
        print_templates(items, as_json=as_json)

    return OK


def print_templates(items: list[Json], *, as_json: bool) -> None:
    """List templates, with the services and secrets that they lack."""
    if as_json:
        _output.print_json(items)
        return
    _output.table(
        ["ID", "CATEGORY", "LACKS", "DESCRIPTION"],
        [[t["id"], t["category"], ", ".join(t["missing"]), t["description"]] for t in items],
        empty="No template fits.",
    )


def find_template(items: list[Json], requested: str) -> Json:
    """The template of this id. Raises NotFound."""
    for item in items:
        if item["id"] == requested:
            return item
    raise NotFound(f"There is no template {requested}.", hint="`codewords templates` lists them.")
