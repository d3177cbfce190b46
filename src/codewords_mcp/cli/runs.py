"""`codewords run | logs | runs | cancel`."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import INTERRUPTED, OK
from codewords_mcp.cli._call import Call, cancel_quietly, read_input
from codewords_mcp.cli._client import Client, Json
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, RunRef, WorkflowRef, part, run_id, workflow_id
from codewords_mcp.cli.workflows import pages
from codewords_mcp.errors import InvalidInput, RuntimeUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator


class Level(StrEnum):
    """Levels of log lines; a line that says none counts as info."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"
    critical = "critical"


_FINISHED = frozenset({"succeeded", "failed", "timed_out", "cancelled", "interrupted"})


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
    as_json: AsJson = False,
) -> int:
    """Run a workflow and print its answer.

    Ctrl-C cancels the run. A run that is waited for may take 120 s: start longer ones with `--async`, then
    follow them with `codewords logs RUN -f`. With `--json` the run's record is printed, not the bare answer.
    """
    if not background and (delay is not None or priority is not None or once is not None):
        raise InvalidInput(
            "--delay, --priority and --idempotency-key are for runs in the background.", hint="Add --async."
        )
    marks = {
        "Codewords-Delay": delay,
        "Codewords-Priority": priority,
        "Idempotency-Key": once,
        "Run-As-Template": "yes" if as_template else None,
    }
    more = {name: str(value) for name, value in marks.items() if value is not None}
    body = None if method.upper() == "GET" else read_input(data)
    with connect() as client:
        target = f"/{part(workflow_id(client, workflow))}/{path.lstrip('/')}"
        # a run that may be an earlier one has its id already
        provisioned = "" if once else str(client.record("POST", "/provision-request")["request_id"])
        call = Call(client, provisioned, target, method.upper(), body, timeout, more)
        try:
            return call.start(as_json=as_json) if background else call.wait(as_json=as_json)
        except KeyboardInterrupt:
            if provisioned:
                cancel_quietly(client, provisioned)
                _output.note(f"Cancelled {provisioned}.", "yellow", always=True)
            return INTERRUPTED


def logs(
    run: RunRef,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    level: Annotated[
        Level | None, typer.Option(help="Only lines of this level and above.", show_default=False)
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON array; with -f one object a line.")
    ] = False,
) -> int:
    """Print what a run wrote. Ctrl-C stops printing; the run goes on."""
    with connect() as client:
        found = _log_lines(client, run_id(client, run), follow=follow, level=level)
        try:
            if as_json and not follow:
                _output.print_json(list(found))
                return OK
            for entry in found:
                _print_log(entry, as_json=as_json)
        except KeyboardInterrupt:
            return OK
    return OK


def runs(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="Show this run, by its id or `last`, and what it reached.", show_default=False
        ),
    ] = None,
    workflow: Annotated[
        str | None, typer.Option(metavar="WORKFLOW", help="Only runs of this workflow.", show_default=False)
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(help="Only runs with this status: running, succeeded, failed …", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
    as_json: AsJson = False,
) -> int:
    """List the last runs, newest first, or show one."""
    if run is not None:
        return _show(run, as_json=as_json)
    with connect() as client:
        items = pages(
            client,
            "/runs",
            {"service_id": workflow and workflow_id(client, workflow), "status": status},
            limit,
        )
    if as_json:
        _output.print_json(items)
        return OK
    rows = [
        [r["id"], _status(r), _seconds(r), _when(r["createdAt"]), r.get("serviceId") or ""] for r in items
    ]
    headers = ["RUN", "STATUS", "TOOK", "AGE", "WORKFLOW"]
    _output.table(headers, rows, empty="No runs. `codewords run WORKFLOW` makes one.")
    return OK


def _show(run: str, *, as_json: bool) -> int:
    with connect() as client:
        record = client.record("GET", f"/request/{part(run_id(client, run))}")
    if as_json:
        _output.print_json(record)
        return OK
    answered = [f"HTTP {record['responseStatus']}"] if record.get("responseStatus") else []
    _output.line(
        ", ".join([f"{record['id']}  {_status(record)}", *answered, *filter(None, [_seconds(record)])])
    )
    error: Json = record.get("error") or {}
    for label, text in (
        ("workflow", f"{record.get('serviceId') or ''} version {record.get('version') or '-'}"),
        ("created", record["createdAt"]),
        ("error", error.get("message") or ""),
        ("reached", _reached(record, allowed=True)),
        ("refused", _reached(record, allowed=False)),
    ):
        if text:
            _output.line(f"  {label:<10} {text}")
    return OK


def _reached(record: Json, *, allowed: bool) -> str:
    """`host:port (3 times)` of each destination that the run's policy allowed, or refused."""
    found: list[Json] = record["usage"].get("egress", {}).get("reached", [])
    return ", ".join(
        f"{one['host']}:{one['port']}" + (f" ({one['count']} times)" if one["count"] > 1 else "")
        for one in found
        if one["allowed"] == allowed
    )


def cancel(run: RunRef, as_json: AsJson = False) -> int:
    """Cancel a run; its sandbox is gone when this returns."""
    with connect() as client:
        record = client.record("POST", f"/runs/{part(run_id(client, run))}/cancel")
    if as_json:
        _output.print_json(record)
    else:
        _output.line(f"{record['id']} is {record['status']}.")
    return OK


def _log_lines(client: Client, id_: str, *, follow: bool, level: Level | None) -> Iterator[Json]:
    """The log's entries; a follower that loses the runtime goes on after the last entry it has seen."""
    after: str | None = None
    failures = 0
    while True:
        try:
            asked = {"after": after, "follow": None if follow else 0, "level": level and level.value}
            for entry in client.lines("GET", f"/logs/{part(id_)}", params=asked):
                failures = 0
                if entry is not None:
                    after = entry["createdAt"]
                    yield entry
        except RuntimeUnavailable:
            failures += 1
            if not follow or failures > 3:
                raise
            time.sleep(1)
            continue
        return


def _print_log(entry: Json, *, as_json: bool) -> None:
    if as_json:
        _output.json_line(entry)
        return
    stream: Any = entry.get("stream")
    style = "yellow" if stream == "platform" else ""
    when = str(entry["createdAt"])[11:23]
    text = str(entry.get("message", ""))
    _output.line(f"{when}  {'· ' if stream == 'platform' else ''}{text}", style)
    sys.stdout.flush()


_WAITS_FOR = {
    "key": "limit of its key", "caller": "limit of its caller", "workflow": "limit of the workflow",
    "home": "limit of the home", "turn": "its turn", "time": "its time", "retry": "another attempt",
    "memory": "memory",
}  # fmt: skip


def _status(record: Json) -> str:
    waits_for = _WAITS_FOR.get(str(record.get("waitsFor")))
    return f"{record['status']} ({waits_for})" if waits_for else str(record["status"])


def _when(created: str) -> str:
    """How long ago, for a terminal; the time itself, for a pipe."""
    if not sys.stdout.isatty():
        return created
    from datetime import UTC, datetime

    seconds = (datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _seconds(record: Json) -> str:
    from datetime import datetime

    start, end = record.get("startedAt"), record.get("completedAt")
    if not start or not end:
        return "" if record["status"] in _FINISHED else "…"
    return f"{(datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds():.2f} s"
