"""`codewords validate | list | show | rollback`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._agree import print_capabilities
from codewords_mcp.cli._boundary import FAILED, OK
from codewords_mcp.cli._checks import print_report
from codewords_mcp.cli._client import Json, pages
from codewords_mcp.cli._code_file import source_title
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, WorkflowRef, part, workflow_id
from codewords_mcp.cli._shared_modules import read_workflow
from codewords_mcp.cli._times import to_minute
from codewords_mcp.errors import ValidationFailed


def validate(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A workflow's Python file; `-` reads stdin.", show_default=False),
    ],
    as_json: AsJson = False,
) -> int:
    """Check a workflow without deploying it."""
    try:
        code = read_workflow(file)
    except ValidationFailed as error:
        # Nothing else is checked: a package index must not be asked for the name of a local module.
        report: Json = error.report
    else:
        with connect() as client, _output.spinner(f"Checking {source_title(file)}") as say:
            report = client.call_with_progress("/validate", {"code": code}, say)
    if as_json:
        _output.print_json(report)
    else:
        print_report(report, source_title(file))
        print_capabilities(report)

    if report["all_passed"]:
        return OK

    return FAILED


def list_workflows(
    query: Annotated[
        str, typer.Option("--query", "-q", help="Only names and descriptions with this text.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 50,
    as_json: AsJson = False,
) -> int:
    """List the deployed workflows."""
    with connect() as client:
        items = pages(client, "/workflows", {"query": query or None}, limit)
    if as_json:
        _output.print_json(items)
    else:
        rows = [
            [
                w["service_id"],
                f"v{w['version']}",
                w["name"],
                _day(w.get("updated_at")),
                w.get("description", ""),
            ]
            for w in items
        ]
        _output.table(
            ["ID", "VERSION", "NAME", "UPDATED", "DESCRIPTION"],
            rows,
            empty="Nothing is deployed yet. Try `codewords deploy --template greeting`.",
        )

    return OK


def show(
    workflow: WorkflowRef,
    code: Annotated[bool, typer.Option("--code", help="Print the code and nothing else.")] = False,
    version: Annotated[
        int | None, typer.Option(min=1, help="Of this version; the live one otherwise.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show one workflow: its address, routes, versions and last runs."""
    with connect() as client:
        detail = client.record(
            "GET",
            f"/workflows/{part(workflow_id(client, workflow))}",
            params={"version": version, "code": 1 if code else None},
        )

    if as_json:
        _output.print_json(detail)
    elif code:
        _output.program(detail["code"])
    else:
        _print_detail(detail)

    return OK


def rollback(
    workflow: WorkflowRef,
    version: Annotated[
        int,
        typer.Argument(
            min=1,
            metavar="VERSION",
            help="The version to make live, as `codewords show` lists them.",
            show_default=False,
        ),
    ],
    as_json: AsJson = False,
) -> int:
    """Switch to another version immediately."""
    with connect() as client:
        done = client.record(
            "POST", f"/workflows/{part(workflow_id(client, workflow))}/rollback", body={"version": version}
        )
    if as_json:
        _output.print_json(done)
    else:
        _output.line(f"{done['service_id']} now serves version {done['version']}.")
    return OK


def _day(timestamp: Any) -> str:
    return to_minute(timestamp)


def _takes(schema: Json | None) -> str:
    """The fields of a route's JSON input: `name (string), count (integer, optional)`."""
    fields: Json = (schema or {}).get("properties") or {}
    required: list[str] = (schema or {}).get("required") or []
    error_details: list[str] = []
    for name, field in fields.items():
        words = [str(field.get("type") or ""), "" if name in required else "optional"]
        extra = ", ".join(word for word in words if word)
        error_details.append(f"{name} ({extra})" if extra else name)
    return ", ".join(error_details)


def _print_detail(detail: Json) -> None:
    _output.line(f"{detail['name']}  {detail['service_id']}  version {detail['version']}", "bold")
    if detail.get("description"):
        _output.line(detail["description"])
    _output.line(f"url       {detail['url']}")
    for route in detail.get("routes", []):
        words = (str(route.get(key) or "") for key in ("method", "path", "summary"))
        _output.line("route     " + "  ".join(words).rstrip())
        if takes := _takes(route.get("input")):
            _output.line(f"  takes   {takes}")

    if detail.get("env"):
        _output.line("env       " + ", ".join(str(item.get("name")) for item in detail["env"]))
    if detail.get("dependencies"):
        _output.line("needs     " + ", ".join(detail["dependencies"]))
    print_capabilities(detail)
    for version in detail.get("versions", []):
        live = "  live" if version["active"] else ""
        if version.get("deployed_by"):
            by = f"  by {version['deployed_by']}"
        else:
            by = ""
        _output.line(f"version   {version['version']}  {_day(version['created_at'])}{live}{by}")

    for check in detail.get("tried", []):
        style = "yellow" if check["status"] == "warning" else ""
        _output.prose(f"tried     {check['message']}", style)

    for run in detail.get("last_runs", []):
        _output.line(
            f"run       {run['id']}  {run['status']}  {_day(run.get('createdAt') or run.get('created_at'))}"
        )
