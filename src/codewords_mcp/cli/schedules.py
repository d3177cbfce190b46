"""`codewords schedules create | list | show | pause | resume | rm`."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._agree import with_agreement
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._call import read_input
from codewords_mcp.cli._client import Json
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._deletion import deletes, tell_deleted
from codewords_mcp.cli._forecast import forecast_lines
from codewords_mcp.cli._refs import AsJson, WorkflowRef, part, workflow_id
from codewords_mcp.cli._remedies import worded
from codewords_mcp.cli._times import localized, to_minute
from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import InvalidInput

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Workflows that run by themselves.")

ScheduleRef = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="A schedule's id, as `codewords schedules list` shows it.", show_default=False
    ),
]


FAILED = frozenset({"failed", "timed_out", "interrupted"})
"""Outcomes of a schedule's run that somebody should look at."""


class CatchUp(StrEnum):
    """The treatment of times that passed while no runtime could run them."""

    skip = "skip"
    once = "once"
    all = "all"


class Overlap(StrEnum):
    """The treatment of a time at which the previous run is unfinished."""

    skip = "skip"
    queue = "queue"
    parallel = "parallel"


@app.command()
def create(
    workflow: WorkflowRef,
    cron: Annotated[
        str | None,
        typer.Argument(
            metavar="CRON", help='Like "0 9 * * MON-FRI", or @hourly, @daily …', show_default=False
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Once, at a time like 2026-12-24T18:00.", show_default=False),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(
            "--timezone", "-z", metavar="ZONE", help="This machine's without it.", show_default=False
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="JSON|@FILE|-", help="The input of its runs.", show_default=False
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="A name for people.", show_default=False)] = "",
    path: Annotated[str, typer.Option(help="The workflow's route.")] = "/",
    catch_up: Annotated[
        CatchUp,
        typer.Option(help="Times that were missed while nothing could run: make up for none, one, all."),
    ] = CatchUp.once,
    overlap: Annotated[
        Overlap, typer.Option(help="The run before has not ended: no run, one after it, one beside it.")
    ] = Overlap.skip,
    jitter: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Spread its runs over this long.")
    ] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="The first time is a dry run; then it waits for your yes.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Let a workflow run at its times, and print the schedule's id.

    For example: `codewords schedules create report "0 9 * * MON-FRI" -z Europe/Berlin`.
    """
    if (cron is None) == (at is None):
        raise InvalidInput(
            "Give either CRON or --at TIME.", hint="`codewords schedules create --help` shows both."
        )

    with connect() as client:
        body: dict[str, Any] = {
            "service_id": workflow_id(client, workflow),
            "timezone": timezone or _own_zone(),
            "name": name,
            "path": path,
            "catch_up": catch_up.value,
            "overlap": overlap.value,
            "jitter": jitter,
        }
        if dry_run:
            # An older runtime refuses a field that it does not know.
            body["dry_run"] = True
        body |= {"cron": cron} if cron else {"at": at}
        if data is not None:
            body["input"] = parse(read_input(data))
        made = with_agreement(
            client,
            body["service_id"],
            partial(client.record, "POST", "/schedules", body=body),
            as_json=as_json,
        )

    if as_json:
        _output.print_json(made)
        return OK

    _output.line(str(made["id"]))
    _output.note(f"Next: {_coming(made)}.")
    if made["note"]:
        _output.note(made["note"], "yellow", always=True)
    # Beside the id, which scripts take from stdout.
    for text in forecast_lines(made.get("forecast")):
        _output.note(text)
    if lasts := made.get("availability"):
        fix = worded(lasts["fix"], lasts.get("remedy"))
        _output.note(f"The runtime: {lasts['sentence']} {fix}".rstrip())
    return OK


@app.command("list")
def list_schedules(as_json: AsJson = False) -> int:
    """List the schedules, those that come next first."""
    with connect() as client:
        items = client.items("/schedules")
    if as_json:
        _output.print_json(items)
        return OK

    rows = [
        [
            s["id"],
            s["service_id"],
            _when(s),
            to_minute(s["next_at"], s["timezone"]) or "-",
            _last(s),
            localized(s["note"]),
        ]
        for s in items
    ]
    headers = ["ID", "WORKFLOW", "WHEN", "NEXT", "LAST RUN", "NOTE"]
    _output.table(
        headers, rows, empty='No schedules. `codewords schedules create WORKFLOW "0 9 * * *"` makes one.'
    )

    return OK


@app.command()
def show(schedule: ScheduleRef, as_json: AsJson = False) -> int:
    """Show one schedule: its next times, its last run, what it missed."""
    with connect() as client:
        _tell(client.record("GET", f"/schedules/{part(schedule)}"), as_json=as_json)
    return OK


@app.command()
def pause(schedule: ScheduleRef, as_json: AsJson = False) -> int:
    """Let nothing run until it is resumed."""
    with connect() as client:
        _tell(client.record("POST", f"/schedules/{part(schedule)}/pause"), as_json=as_json)
    return OK


@app.command()
def resume(schedule: ScheduleRef, as_json: AsJson = False) -> int:
    """Go on with its next time from now."""
    with connect() as client:
        _tell(client.record("POST", f"/schedules/{part(schedule)}/resume"), as_json=as_json)
    return OK


@deletes(app)
def delete(schedule: ScheduleRef, as_json: AsJson = False) -> int:
    """Delete a schedule; its runs stay."""
    with connect() as client:
        client.call("DELETE", f"/schedules/{part(schedule)}")
    return tell_deleted(schedule, {"id": schedule}, as_json=as_json)


def _tell(schedule: Json, *, as_json: bool) -> None:
    if as_json:
        _output.print_json(schedule)
        return

    facts = {
        "schedule": schedule["id"],
        "workflow": schedule["service_id"],
        "when": _when(schedule),
        "next": _coming(schedule),
        "input": "-" if schedule["input"] is None else json.dumps(schedule["input"], ensure_ascii=False),
        "policy": f"catch-up {schedule['catch_up']}, overlap {schedule['overlap']}, jitter {schedule['jitter']:g} s",
        "last run": f"{schedule['last_run_id']}  {_last(schedule)}" if schedule["last_run_id"] else "-",
        "error": schedule.get("last_error"),
        "missed": schedule["missed"],
        "note": localized(schedule["note"]) or "-",
    }
    for label, value in facts.items():
        if value is not None:
            _output.line(f"{label:9} {value}")

    if schedule.get("last_status") in FAILED:
        _output.note(f"Why: codewords runs {schedule['last_run_id']}", whole=True)


def _when(schedule: Json) -> str:
    text = f"{schedule['cron'] or 'once'} {schedule['timezone']}"
    if schedule["paused"]:
        return f"{text}, paused"
    return text


def _coming(schedule: Json) -> str:
    """Format the next times of a schedule, in its own zone."""
    return ", ".join(to_minute(moment, schedule["timezone"]) for moment in schedule["next"]) or "-"


def _last(schedule: Json) -> str:
    """Format the outcome and time of a schedule's last run."""
    if not schedule["last_run_id"]:
        return "-"
    outcome = str(schedule.get("last_status") or "not on record").replace("_", " ")
    return f"{outcome} {to_minute(schedule['last_at'], schedule['timezone'])}"


def _own_zone() -> str:
    """This machine's IANA zone, where it says one."""
    import os
    from pathlib import Path

    named = os.environ.get("TZ", "").lstrip(":")
    # TZ may also be a path or a POSIX rule; only a name is an IANA zone.
    if named and not named.startswith("/"):
        return named

    link = Path("/etc/localtime")
    if link.is_symlink():
        target = str(link.resolve())
    else:
        target = ""

    _, marker, zone = target.partition("/zoneinfo/")
    if marker:
        return zone

    return "UTC"
