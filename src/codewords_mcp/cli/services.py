"""`codewords services`: what library services there are, and how one is called."""

from __future__ import annotations

from typing import Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._client import Json
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, part
from codewords_mcp.cli._remedies import worded


def services(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="One service: its operations and fields.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List the library services that workflows can call, or show one."""
    with connect() as client:
        if name is not None:
            service = client.record("GET", f"/services/{part(name)}")
            if as_json:
                _output.print_json(service)
            else:
                _show(service)

            return OK

        items = client.record("GET", "/services")["items"]

    if as_json:
        _output.print_json(items)
        return OK

    rows = [
        [service["name"], "yes" if service["ready"] else _missing(service), service["summary"]]
        for service in items
    ]
    _output.table(["SERVICE", "READY", "WHAT IT DOES"], rows, empty="No services.")
    return OK


def _missing(service: Json) -> str:
    if service["unavailable"]:
        fix = worded(service.get("fix"), service.get("remedy"))
        return f"{service['unavailable']} {fix}".rstrip()
    missing = [
        credential["name"]
        for credential in service["credentials"]
        if not (credential["present"] or credential["without"])
    ]
    return f"needs {', '.join(missing)}"


def _show(service: Json) -> None:
    _output.prose(f"{service['title']}: {service['summary']}")
    for operation in service["operations"]:
        _output.line()
        _output.line(f"POST /run/{service['name']}{operation['path']}", "bold")
        _output.prose(operation["summary"])
        required = operation["input"].get("required", [])

        for field, schema in operation["input"].get("properties", {}).items():
            need = "needed" if field in required else "optional"
            _output.prose(f"{field} ({need}) {schema.get('description', '')}".rstrip(), indent=2)

    for credential in service["credentials"]:
        _output.line()
        if credential["present"]:
            state = "set"
        else:
            state = credential["without"] or "not set, and needed"

        _output.prose(f"{credential['name']}: {str(state).rstrip('.')}. {credential['how']}")
