"""`codewords test`: the example and the recorded tests of a workflow, and its behaviour under faults."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Annotated, Final

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import FAILED, OK
from codewords_mcp.cli._client import Json, RuntimeClient
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._example import add_example, run_example
from codewords_mcp.cli._refs import AsJson, is_draft, part, run_id, workflow_id
from codewords_mcp.cli._shared_modules import read_workflow
from codewords_mcp.cli._sources import deployed_as
from codewords_mcp.cli._test_report import print_report, write_junit
from codewords_mcp.errors import InvalidInput

MAX_SEED: Final = 1_000_000
RunOption = Annotated[str | None, typer.Option(metavar="RUN", show_default=False)]


def run_tests(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="[WORKFLOW | FILE | DRAFT]",
            help="A workflow's id or name, a Python file, or a draft's id.",
            show_default=False,
        ),
    ] = None,
    add: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Make this recorded run a test, or `last`; `example`: the example of a DRAFT, in its header.",
            show_default=False,
        ),
    ] = None,
    remove: Annotated[
        str | None, typer.Option(metavar="RUN", help="This run is no test any more.", show_default=False)
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the tests of WORKFLOW.")] = False,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="answer, status, writes, same, or a field of the answer: '$.total'. Default: answer and writes.",
            show_default=False,
        ),
    ] = None,
    recording: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="An exported recording that FILE is tested on.", show_default=False
        ),
    ] = None,
    workflow: Annotated[
        str | None,
        typer.Option(metavar="WORKFLOW", help="Whose tests FILE has to pass.", show_default=False),
    ] = None,
    faults: Annotated[
        bool,
        typer.Option("--faults", help="See what it makes of 429, 500, a timeout, and hidden instructions."),
    ] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same seed makes the same faults.", show_default=False)
    ] = None,
    no_example: Annotated[
        bool, typer.Option("--no-example", help="Do not run WORKFLOW with its example, which is for real.")
    ] = False,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the results as JUnit XML.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Run the tests of a workflow: its example, and recorded runs.

    A recorded test replays a run: what it was asked, and what each host answered. Nothing is sent. It passes where the answer
    and the writes are those of the recorded run, or what --expect names. With a FILE or a DRAFT that code is tested. The
    example really runs, on WORKFLOW only, and fails where its answer lacks a field that the header expects.
    """
    if add == "example":
        return add_example(subject, as_json=as_json)
    if add is not None:
        return _add(add, expect or [], as_json=as_json)
    if remove is not None:
        return _remove(remove)
    if subject is None:
        raise InvalidInput("Name a workflow, a file or a draft.", hint="codewords test WORKFLOW")

    with connect() as client:
        body = _body(client, subject, recording or [], workflow, expect or [])
        service_id = body.get("service_id")
        if list_:
            return _list(client, service_id, as_json=as_json)
        if faults:
            body |= {"faults": True, "seed": random.randrange(MAX_SEED) if seed is None else seed}  # noqa: S311  # no secret
        with _output.spinner(f"Testing {subject}") as say:
            report = client.call_with_progress("/tests", body, say)

    if as_json:
        _output.print_json(report)
    else:
        print_report(report, subject)
    if junit is not None:
        write_junit(report, junit, subject)

    # The example last: its answer is what a person wants to see at the end.
    is_served = not (recording or is_draft(subject) or "code" in body)
    if all(one["outcome"] == "passed" for one in report["tests"]):
        code = OK
    else:
        code = FAILED
    if is_served and not no_example and not faults and not as_json and junit is None:
        return max(code, run_example(subject, required=not report["tests"]))
    return code


def _body(
    client: RuntimeClient, subject: str, recordings: list[Path], workflow: str | None, expect: list[str]
) -> Json:
    """The request: which code, on which recordings."""
    body: Json = {"documents": [_document(file) for file in recordings], "expect": expect}
    if expect and not recordings:
        raise InvalidInput(
            "--expect is for --add and --recording.", hint="codewords test --add RUN --expect …"
        )
    if workflow is None:
        service_id = None
    else:
        service_id = workflow_id(client, workflow)
    if is_draft(subject):
        draft = client.record("GET", f"/drafts/{part(subject)}")
        return body | {"draft": subject, "service_id": service_id or draft.get("workflow_id")}
    if subject.endswith(".py"):
        if service_id is None and not recordings:
            service_id = deployed_as(subject)
        if service_id is None and not recordings:
            raise InvalidInput(
                f"{subject} was not deployed from here, so it has no tests.",
                hint="Name the workflow whose tests it has to pass with --workflow, or a --recording.",
            )
        return body | {"code": read_workflow(subject), "service_id": service_id}
    return body | {"service_id": workflow_id(client, subject)}


def _document(file: Path) -> object:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file} cannot be read as a recording: {error}.") from None


def _add(run: str, expect: list[str], *, as_json: bool) -> int:
    with connect() as client, _output.spinner("Replaying the run on its own version"):
        name = run_id(client, run)
        tested = client.record("PUT", f"/recordings/{part(name)}/test", body={"expect": expect})
    if as_json:
        _output.print_json(tested)
    else:
        _output.line(f"{name} is a test now: {', '.join(tested['expect'])}.", "green")
    return OK


def _remove(run: str) -> int:
    with connect() as client:
        client.call("DELETE", f"/recordings/{part(run_id(client, run))}/test")
    return OK


def _list(client: RuntimeClient, service_id: str | None, *, as_json: bool) -> int:
    items = client.items(f"/workflows/{part(service_id or '')}/tests")
    if as_json:
        _output.print_json(items)
        return OK
    rows = [
        [one["run_id"], str(one["version"]), str(one["created_at"])[:10], ", ".join(one["expect"])]
        for one in items
    ]
    empty = "No tests. `codewords test --add last` makes one of the last run."
    _output.table(["RUN", "VERSION", "AT", "EXPECTS"], rows, empty=empty)
    return OK
