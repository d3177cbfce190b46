"""`codewords schema` and `codewords endpoint`: what editors ask for."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import endpoint as find_endpoint
from codewords_mcp.cli._refs import AsJson


class Schema(StrEnum):
    """The texts that have a schema."""

    header = "header"
    project = "project"


def schema(
    name: Annotated[
        Schema,
        typer.Argument(metavar="header|project", help="The header of a workflow, or `codewords.toml`."),
    ],
    as_json: AsJson = False,  # noqa: ARG001  # every command takes it, and a schema is JSON
) -> int:
    """Print a JSON Schema, for editors and other programs: of a workflow's header, or of `codewords.toml`."""
    if name is Schema.header:
        from codewords_mcp.runtime.model.workflow_header import header_schema

        _output.print_json(header_schema())
    else:
        from codewords_mcp.runtime.model.project import project_schema

        _output.print_json(project_schema())
    return OK


def endpoint(as_json: AsJson = False) -> int:
    """Print the address of the runtime that the commands use, and start it where none runs.

    With `--json` its key is there too: for editors and scripts that make requests of their own. Do not pass it on.
    """
    found = find_endpoint(tell=False)
    if as_json:
        _output.print_json({"url": found.url, "key": found.key})
    else:
        _output.line(found.url)
    return OK
