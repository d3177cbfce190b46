"""`codewords deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._agree import agreed
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._checks import print_report
from codewords_mcp.cli._client import Json, RemoteError, RuntimeClient
from codewords_mcp.cli._code_file import source_title
from codewords_mcp.cli._completion import complete_template
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._deployment_report import print_deployment
from codewords_mcp.cli._difference import print_rows
from codewords_mcp.cli._refs import AsJson, part
from codewords_mcp.cli._shared_modules import read_workflow
from codewords_mcp.cli._sources import deployed_as, forget
from codewords_mcp.cli.project.history import note_pushed
from codewords_mcp.errors import InvalidInput


def deploy(
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="A workflow's Python file; `-` reads stdin.", show_default=False),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Deploy a template instead of a file.", autocompletion=complete_template
        ),
    ] = None,
    draft: Annotated[str | None, typer.Option(metavar="ID", help="Deploy a draft instead of a file.")] = None,
    name: Annotated[str | None, typer.Option(help="The workflow's name; the file's name otherwise.")] = None,
    service_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Make a new version of this workflow.")
    ] = None,
    base: Annotated[
        int | None,
        typer.Option(
            "--base", metavar="N", min=1, help="The live version that it may replace; another is a conflict."
        ),
    ] = None,
    description: Annotated[str, typer.Option(help="One line for lists.")] = "",
    allow: Annotated[
        bool, typer.Option("--allow", help="Agree to whatever it asks for: for scripts and CI.")
    ] = False,
    no_replay: Annotated[
        bool, typer.Option("--no-replay", help="Do not replay recorded runs first; the version says so.")
    ] = False,
    no_tests: Annotated[
        bool, typer.Option("--no-tests", help="Do not run recorded tests first; the version says so.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Check a workflow, build its environment and make it live.

    The same file again becomes a new version of its workflow; the same code changes nothing. Another workflow of that
    name is replaced only where --id names it. When a check fails, the version that was live goes on serving.

    What a version may reach beyond the one before is asked first, on a terminal; elsewhere --allow is needed.
    """
    if sum(source is not None for source in (file, template, draft)) != 1:
        raise InvalidInput(
            "Give a file, --template ID or --draft ID.",
            hint="`codewords templates` lists the templates, `codewords drafts` the drafts.",
        )

    body: Json = {"name": name, "service_id": service_id, "description": description or None}
    body["base_version"] = base
    if file is None:
        # A person at a terminal sees what a template asks for, before it is live.
        body |= {"template_id": template, "draft_id": draft, "ask": True if template else None}
    else:
        body["code"] = read_workflow(file)
        # The name of an existing workflow stays; stdin has no file name to make one of.
        body["name"] = name or (None if service_id or file == "-" else Path(file).stem)

    body = {key: value for key, value in body.items() if value is not None} | (
        {"allow": True} if allow else {}
    )
    if no_replay:
        body["replay"] = False
    if no_tests:
        body["tests"] = False
    if file:
        subject = source_title(file)
    elif template:
        subject = f"template {template}"
    else:
        subject = f"draft {draft}"

    with connect() as client:
        # `--id` says which workflow is meant, whatever this file was deployed as.
        if file not in {None, "-"} and service_id is None:
            body |= _same_file(client, str(file), body["name"], named=name is not None)
        try:
            done = _deploy(client, body, subject)
        except RemoteError as error:
            if error.code == "conflict":
                raise _conflict(error) from error

            report = error.details().get("report")
            if report and not as_json:
                print_report(report, subject)
                error.hint = ""  # it tells of the first check that failed, which stands above

            if error.code != "consent_needed":
                raise

            done = _deploy(client, body | {"confirm": agreed(error, as_json=as_json)}, subject)

    if file not in {None, "-"}:
        note_pushed(Path(str(file)), str(done["service_id"]), int(done["version"]), str(body["code"]))
    if as_json:
        _output.print_json(done)
    else:
        print_deployment(done)

    return OK


def _same_file(client: RuntimeClient, file: str, name: str, *, named: bool) -> Json:
    """Find the workflow that this file was deployed as, if it exists and still has the requested name."""
    known = deployed_as(file)
    if known is None:
        return {}

    try:
        found = client.record("GET", f"/workflows/{part(known)}")
    except RemoteError as error:
        if error.code != "not_found":
            raise
        forget(file)
        return {}

    # With another key it may be somebody else's public workflow, which a deploy can't replace.
    if found.get("published_by"):
        return {}
    # Another name means another workflow: `--name` makes a copy of it.
    if named and found["name"] != name:
        return {}

    return {"service_id": known, "name": found["name"]}


def _conflict(error: RemoteError) -> RemoteError:
    """A refused replacement, with the options of this command, and the two differences on stderr."""
    error_details = error.details()
    if "live_version" in error_details:
        live, base = error_details["live_version"], error_details["base_version"]
        _print_part(
            f"From version {base} to version {live}, which is live:", error_details.get("live_changes")
        )
        _print_part(f"From version {base} to this code:", error_details.get("own_changes"))
        error.hint = f"Take over what should stay, then deploy with --base {live}."
    return error


def _deploy(client: RuntimeClient, body: Json, subject: str) -> Json:
    with _output.spinner(f"Deploying {subject}") as say:
        return client.call_with_progress("/deploy", body, say)


def _print_part(title: str, difference: Any) -> None:
    _output.note(title, "bold", always=True)
    print_rows(str(difference or "(nothing)"), stderr=True)
