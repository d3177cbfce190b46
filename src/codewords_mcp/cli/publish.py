"""`codewords publish | unpublish | published`: workflows as MCP tools of their own."""

from __future__ import annotations

from typing import Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, WorkflowRef, part, workflow_id


def publish(
    workflow: WorkflowRef,
    name: Annotated[
        str | None,
        typer.Option(help="The tool's name; by default made of the workflow's.", show_default=False),
    ] = None,
    toolset: Annotated[str, typer.Option(help="Tools of one toolset have a URL of their own.")] = "published",
    path: Annotated[
        str | None, typer.Option(help="Its route, where it has several.", show_default=False)
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="It changes nothing: read-only connections have it too.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Make a deployed workflow an MCP tool with its own name, words and input schema."""
    body = {"tool": name, "toolset": toolset, "path": path, "read_only": read_only}
    with connect() as client:
        made = client.record(
            "POST",
            f"/workflows/{part(workflow_id(client, workflow))}/publish",
            body={key: value for key, value in body.items() if value is not None},
        )
        url = client.endpoint.url

    if as_json:
        _output.print_json(made)
    else:
        _output.line(f"{made['tool']} is a tool of the toolset {made['toolset']}.")
        _output.note(
            f"Alone with its toolset at {url}/mcp/{made['toolset']}; "
            f"`codewords keys create --scope run --toolsets {made['toolset']}` makes a key for just that.",
            always=True,
        )

    return OK


def unpublish(
    tool: Annotated[
        str, typer.Argument(metavar="TOOL", help="The tool's name, as `codewords published` shows it.")
    ],
    as_json: AsJson = False,
) -> int:
    """Take a published tool back; its workflow stays."""
    with connect() as client:
        client.call("DELETE", f"/published/{part(tool)}")
    if as_json:
        _output.print_json({"tool": tool, "published": False})
    else:
        _output.line(f"{tool} is no tool any more.")
    return OK


def published(as_json: AsJson = False) -> int:
    """List workflows that are published as tools."""
    with connect() as client:
        items = client.items("/published")
    if as_json:
        _output.print_json(items)
        return OK

    rows = [
        [
            tool["tool"],
            tool["toolset"],
            "reads" if tool["read_only"] else "runs",
            tool["workflow_id"],
            f"{tool['method']} {tool['path']}",
        ]
        for tool in items
    ]
    _output.table(["TOOL", "TOOLSET", "KIND", "WORKFLOW", "ROUTE"], rows, empty="No published workflows.")
    return OK
