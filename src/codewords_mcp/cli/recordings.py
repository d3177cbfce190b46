"""`codewords recordings list | show | export | import | keep | remove`: what runs sent and received."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._pytest_export import write_pytest
from codewords_mcp.cli._refs import AsJson, RunRef, part, run_id, workflow_id
from codewords_mcp.cli._sources import deployed_from
from codewords_mcp.cli._times import to_second
from codewords_mcp.errors import InvalidInput

app = typer.Typer(
    no_args_is_help=True,
    help="Recordings: what runs sent and received, for traces, replays and tests. They are made by themselves.",
)
_SHOWN_TARGET = 60


@app.command("list")
def list_recordings(
    workflow: Annotated[
        str | None,
        typer.Argument(
            metavar="[WORKFLOW]", help="Of this workflow only: its id or name.", show_default=False
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> int:
    """List recordings, the latest first."""
    with connect() as client:
        params: dict[str, Any] = {"limit": limit}
        if workflow:
            params["service_id"] = workflow_id(client, workflow)
        items = client.record("GET", "/recordings", params=params)["items"]

    if as_json:
        _output.print_json(items)
        return OK

    rows = [
        [
            one["run_id"],
            one["service_id"],
            str(one["version"]),
            one["status"],
            to_second(one["created_at"]),
            str(one["exchanges"]),
            _output.size(one["bytes"]),
            _remarks(one),
        ]
        for one in items
    ]
    _output.table(
        ["RUN", "WORKFLOW", "VERSION", "STATUS", "AT", "REQUESTS", "SIZE", ""],
        rows,
        empty="No recordings yet. They are made when workflows run.",
    )
    return OK


@app.command("show")
def show(run: RunRef, as_json: AsJson = False) -> int:
    """Show what a run sent and received, without credentials."""
    document = _read(run)
    if as_json:
        _output.print_json(document)
        return OK

    request, response = document["request"], document["response"]
    _output.line(f"{document['service_id']} version {document['version']}, {document['status']}", "bold")
    _output.line(f"asked     {request['method']} {request['target']}")
    for one in document["exchanges"]:
        _output.clipped(_exchange_line(one))
    for one in document["connections"]:
        moved = f"{_output.size(one['sent'])} out, {_output.size(one['received'])} in"
        _output.clipped(f"unread    {one['host']}:{one['port']}  {moved}: {one['why']}")
    _output.line(f"answered  {response['status'] or 'nothing'}")
    if document["truncated"]:
        _output.note(f"It ends early: {document['truncated']}.")
    return OK


@app.command("export")
def export(
    run: RunRef,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The file to write; without it standard output."),
    ] = None,
    pytest: Annotated[
        bool, typer.Option("--pytest", help="Write a pytest file, with the recording beside it.")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --pytest: the workflow's own file; default: the one that it was deployed from.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Write a recording as a JSON document, without credentials, that another home can import.

    With --pytest, `-o test_orders.py` becomes a test that replays the run on the workflow's own file by `codewords test`.
    """
    if pytest:
        return _export_pytest(run, output, file)
    text = json.dumps(_read(run), indent=1, ensure_ascii=False)
    if output is None:
        _output.raw(text + "\n")
    else:
        output.write_text(text + "\n", encoding="utf-8")
        _output.note(f"Wrote {output}.")
    return OK


@app.command("import")
def import_recording(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An exported recording.", show_default=False)],
    workflow: Annotated[
        str | None,
        typer.Option(
            "--workflow", metavar="WORKFLOW", help="The workflow here that it belongs to: its id or name."
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Take in a recording that was exported, here or in another home."""
    try:
        document = file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.") from None

    with connect() as client:
        if workflow:
            params = {"service_id": workflow_id(client, workflow)}
        else:
            params = {}
        info = client.record("POST", "/recordings", content=document, params=params)
    if as_json:
        _output.print_json(info)
    else:
        _output.line(f"Imported as {info['run_id']}, a recording of {info['service_id']}.")
    return OK


@app.command("keep")
def keep(
    run: RunRef,
    release: Annotated[bool, typer.Option("--release", help="Keep it no longer than others.")] = False,
) -> int:
    """Keep a recording when others are removed for want of space."""
    with connect() as client:
        name = part(run_id(client, run))
        client.call("PUT", f"/recordings/{name}/pin", body={"pinned": not release})
    return OK


@app.command("remove")
def remove(run: RunRef) -> int:
    """Remove a recording. Its run stays."""
    with connect() as client:
        client.call("DELETE", f"/recordings/{part(run_id(client, run))}")
    return OK


def _export_pytest(run: str, output: Path | None, file: Path | None) -> int:
    if output is None:
        raise InvalidInput("Where is the test to be?", hint="-o tests/test_orders.py")
    document = _read(run)
    with connect() as client:
        tests = client.items(f"/workflows/{part(document['service_id'])}/tests")
    expect = [one["expect"] for one in tests if one["run_id"] == document["run_id"]]
    workflow = file or deployed_from(document["service_id"])
    if workflow is None:
        raise InvalidInput(
            "This workflow was not deployed from a file here.", hint="Give its file: --file main.py"
        )
    recording = write_pytest(document, output, workflow, expect[0] if expect else ())
    _output.note(f"Wrote {output} and {recording}. Run it: pytest {output}")
    return OK


def _read(run: str) -> dict[str, Any]:
    with connect() as client:
        return client.record("GET", f"/recordings/{part(run_id(client, run))}")


def _exchange_line(one: dict[str, Any]) -> str:
    # Cut by its signs: a program may have sent an address that no parser takes.
    target = str(one["url"]).partition("://")[2].partition("?")[0][:_SHOWN_TARGET]
    answer = one["response"]
    outcome = answer["status"] or one["outcome"]
    mark = "write" if one["writes"] else "read"
    if one["ended"] is None:
        took = ""
    else:
        took = f"{(one['ended'] - one['started']) * 1000:,.0f} ms"
    size = _output.size(answer["size"])
    return f"{mark:<9} {one['method']:<6} {target}  {outcome}  {size}  {took}  {one['note']}".rstrip()


def _remarks(one: dict[str, Any]) -> str:
    remarks = [name for name in ("pinned", "imported") if one[name]]
    if one["obstacle"]:
        remarks.append(one["obstacle"])
    return ", ".join(remarks)
