"""`codewords run | runs | cancel`."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._agree import confirm_service, with_agreement
from codewords_mcp.cli._boundary import INTERRUPTED, OK
from codewords_mcp.cli._call import RunCall, cancel_quietly, read_input
from codewords_mcp.cli._client import Json, RemoteError, RuntimeClient, pages
from codewords_mcp.cli._completion import complete_workflow
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._dry_runs import apply, print_writes, require_dry_runs
from codewords_mcp.cli._queries import query_runs
from codewords_mcp.cli._refs import AsJson, RunRef, WorkflowRef, part, run_id, workflow_id
from codewords_mcp.cli._resumed_runs import resume
from codewords_mcp.cli._run_report import print_run, seconds
from codewords_mcp.cli._times import age
from codewords_mcp.cli._waterfall import print_trace
from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.status_words import status_words


def run(
    workflow: WorkflowRef,
    data: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            metavar="JSON|@FILE|-",
            help="The input: JSON, a file, or stdin. `{}` without it.",
            show_default=False,
        ),
    ] = None,
    path: Annotated[str, typer.Option(help="The workflow's route.")] = "/",
    method: Annotated[str, typer.Option(help="The HTTP method.")] = "POST",
    background: Annotated[bool, typer.Option("--async", help="Start it and print the run's id.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="SECONDS", help="Cancel the run after this long.", show_default=False),
    ] = None,
    delay: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="SECONDS", help="With --async: not before this long.", show_default=False
        ),
    ] = None,
    priority: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            help="With --async, among your waiting runs: 1 first, 100 last.",
            show_default=False,
        ),
    ] = None,
    once: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key",
            metavar="KEY",
            help="With --async: start it once for this key; repeated, print the id of the first run.",
            show_default=False,
        ),
    ] = None,
    as_template: Annotated[
        bool, typer.Option(help="Give another owner's public workflow your secrets.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Send what reads, hold what writes, and list it."),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask before a library service sends or changes something."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Run a workflow and print its answer.

    Ctrl-C cancels the run. A run that is waited for may take 120 s: start longer ones with `--async`, then
    follow them with `codewords logs RUN -f`. With `--json` the run's record is printed, not the bare answer.

    A library service that sends or changes something is called after a yes on the terminal; a script is not asked.
    What another owner's workflow may do for you is asked there too, once; a script has to have your agreement before.

    With `--dry-run` nothing that writes leaves: `codewords runs apply RUN` then sends exactly what was listed.
    """
    if not background and (delay is not None or priority is not None or once is not None):
        raise InvalidInput(
            "--delay, --priority and --idempotency-key are for runs in the background.", hint="Add --async."
        )

    if dry_run and once is not None:
        raise InvalidInput("--dry-run and --idempotency-key are not for the same run.")

    marks = {
        "Codewords-Delay": delay,
        "Codewords-Priority": priority,
        "Idempotency-Key": once,
        "Run-As-Template": "yes" if as_template else None,
        "Codewords-Dry-Run": "yes" if dry_run else None,
    }
    more = {name: str(value) for name, value in marks.items() if value is not None}
    if method.upper() == "GET":
        body = None
    else:
        body = read_input(data)

    with connect() as client:
        service = workflow_id(client, workflow)
        target = f"/{part(service)}/{path.lstrip('/')}"
        if not (yes or dry_run):
            confirm_service(client, service, path, body)
        # a run that may be an earlier one has its id already
        if once:
            provisioned = ""
        else:
            # With an id before the run, Ctrl-C knows what to cancel.
            provisioned = str(client.record("POST", "/provision-request")["request_id"])
        if dry_run:
            require_dry_runs(client, provisioned)

        call = RunCall(client, provisioned, target, method.upper(), body, timeout, more)
        try:
            begin = call.start if background else call.wait
            code = with_agreement(client, service, partial(begin, as_json=as_json), as_json=as_json)
            if dry_run and not background and not as_json:
                print_writes(client, provisioned)
            return code
        except KeyboardInterrupt:
            # The run is this person's alone: nobody else waits for it.
            if provisioned:
                cancel_quietly(client, provisioned)
                _output.note(f"Cancelled {provisioned}.", "yellow", always=True)

            return INTERRUPTED


def runs(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN | apply RUN | resume RUN",
            help="Show this run, by its id or `last`, and what it reached. `apply RUN` runs for real what that dry run held; "
            "`resume RUN` goes on with one that asks about writes.",
            show_default=False,
        ),
    ] = None,
    other: Annotated[str | None, typer.Argument(metavar="", hidden=True, show_default=False)] = None,
    workflow: Annotated[
        str | None,
        typer.Option(
            metavar="WORKFLOW",
            help="Only runs of this workflow.",
            show_default=False,
            autocompletion=complete_workflow,
        ),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(help="Only runs with this status: running, succeeded, failed …", show_default=False),
    ] = None,
    trigger: Annotated[
        str | None,
        typer.Option(help="Only runs that a schedule, a run or a caller started.", show_default=False),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME|AGE", help="Only runs from then on: 2026-12-24, or 24h.", show_default=False
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME|AGE", help="Only runs before then.", show_default=False)
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only runs with this in their input.", show_default=False),
    ] = None,
    sql: Annotated[
        str | None,
        typer.Option(
            metavar="SELECT",
            help='Answer a SELECT over runs, calls, model_calls and triggers; "" lists their columns.',
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
    trace: Annotated[bool, typer.Option("--trace", help="With RUN: draw its timeline.")] = False,
    allow: Annotated[
        bool, typer.Option("--allow", help="With `apply`: agree to the whole list without being asked.")
    ] = False,
    sent: Annotated[
        bool | None,
        typer.Option(
            "--sent/--not-sent",
            help="With `resume`: the write that the run asks about was carried out, or was not.",
            show_default=False,
        ),
    ] = None,
    write: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N=sent|not-sent",
            help="With `resume`, for each of several writes: number N was carried out, or was not.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List the last runs, newest first, or show one: what it was asked, its answer, why it failed.

    With `--trace` it is drawn: queue, sandbox, steps, requests, model calls with tokens and cost, the runs that it
    started, and its last log lines. A run that goes on is drawn as far as it is.

    `codewords runs apply RUN` shows what the dry run RUN held and asks; with your yes the workflow runs for real, sends
    each of these once, and is ended before anything else that writes.

    `codewords runs resume RUN` lists the writes of a run that ended since earlier attempts may have carried them out, asks
    about each, and goes on in a new run. `--sent` (or `--not-sent`) answers for one, `--write 1=sent --write 2=not-sent` for
    several.

    `--sql "SELECT status, count(*) FROM runs GROUP BY 1"` answers with rows; `--sql ""` lists the columns there are.
    """
    if run == "apply" and other is not None:
        return apply(other, allow=allow, as_json=as_json)
    if run == "resume" and other is not None:
        return resume(other, sent=sent, answers=write or (), as_json=as_json)
    if other is not None or allow or sent is not None or write:
        raise InvalidInput(
            "This command takes one run.", hint="codewords runs apply RUN runs a dry run for real."
        )
    if run is not None and trace:
        return _trace(run, as_json=as_json)
    if run is not None:
        return _show(run, as_json=as_json)
    if trace:
        raise InvalidInput("--trace draws one run.", hint="Name it: codewords runs last --trace.")
    if sql is not None:
        return query_runs(sql, limit=limit, as_json=as_json)

    with connect() as client:
        filters = {
            "service_id": workflow and workflow_id(client, workflow),
            "status": status,
            "trigger": trigger,
            "since": since,
            "until": until,
            # Only rows are searched.
            **({"view": "rows", "q": text} if text else {}),
        }
        items = pages(client, "/runs", filters, limit)

    if as_json:
        _output.print_json(items)
        return OK

    rows = [
        [
            r["id"],
            status_words(r["status"], r.get("waitsFor")),
            seconds(r),
            _when(r["createdAt"]),
            r.get("serviceId") or "",
        ]
        for r in items
    ]
    headers = ["RUN", "STATUS", "TOOK", "AGE", "WORKFLOW"]
    _output.table(headers, rows, empty="No runs. `codewords run WORKFLOW` makes one.")

    return OK


def _show(run: str, *, as_json: bool) -> int:
    with connect() as client:
        id_ = part(run_id(client, run))
        record = client.record("GET", f"/request/{id_}")
        if as_json:
            _output.print_json(record)
            return OK
        print_run(record, _diagnosis(client, id_))
        if record.get("mode") in {"dry_run", "apply"}:
            print_writes(client, id_)
    return OK


def _trace(run: str, *, as_json: bool) -> int:
    with connect() as client:
        record = client.record("GET", f"/runs/{part(run_id(client, run))}/trace")
    if as_json:
        _output.print_json(record)
    else:
        print_trace(record)
    return OK


def _diagnosis(client: RuntimeClient, id_: str) -> Json:
    """Return the reason of a failure; empty for an older runtime without this route."""
    try:
        return client.record("GET", f"/runs/{id_}/diagnosis")
    except RemoteError as error:
        if error.status not in {404, 405}:
            raise
        return {}


def cancel(run: RunRef, as_json: AsJson = False) -> int:
    """Cancel a run; its sandbox is gone when this returns."""
    with connect() as client:
        record = client.record("POST", f"/runs/{part(run_id(client, run))}/cancel")
    if as_json:
        _output.print_json(record)
    else:
        _output.line(f"{record['id']} is {record['status']}.")
    return OK


def _when(created: str) -> str:
    """Format a time: its age for a terminal, the time itself for a pipe."""
    if sys.stdout.isatty():
        return age(created)
    return created
