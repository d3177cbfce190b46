"""Makes alerts of the failures that were noted: equal ones are counted in few statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from codewords_mcp.runtime.alerts.describe import (
    AppUsers,
    FailedRun,
    describe,
    describe_run,
    describe_schedule_of,
    find_failed_runs,
    subject_of,
)
from codewords_mcp.runtime.alerts.notify import raise_alerts
from codewords_mcp.runtime.model.alert import AlertSettings
from codewords_mcp.runtime.model.run_columns import ErrorEntry
from codewords_mcp.runtime.store import alert_causes, alert_messages, failed_calls, logs
from codewords_mcp.runtime.store.alert_causes import AlertCause
from codewords_mcp.runtime.store.alerts import Failure
from codewords_mcp.runtime.workflows.validation.crash import last_exception

log = structlog.get_logger(__name__)
T = TypeVar("T")
BATCH = 200
ALERTING = frozenset({"schedule", "webhook", "trigger", "on_failure"})
"""The triggers whose failed runs are told: nobody saw them start."""
_LOG_LINES = 60
"""Last lines of a log in which a traceback is looked for."""


def make_alerts(connection: Connection) -> None:
    """Take causes out and count them on their alerts, in the transaction of the connection."""
    causes = alert_causes.take(connection, BATCH)
    run_ids = [cause.detail["run_id"] for cause in causes if cause.kind == "run_failed"]
    users: AppUsers = {}
    failures = [failure for cause in causes for failure in _describe(connection, cause, users)]
    if run_ids:
        failures += _describe_runs(connection, run_ids)
    raise_alerts(connection, _summed(failures))


def _summed(failures: Iterable[Failure]) -> list[Failure]:
    by_place: dict[tuple[str, str], Failure] = {}
    for failure in failures:
        before = by_place.get((failure.owner, failure.subject))
        times = failure.times + (before.times if before is not None else 0)
        # The last failure gives the words and the run that the alert leads to.
        by_place[failure.owner, failure.subject] = replace(failure, times=times)
    return list(by_place.values())


def _describe(connection: Connection, cause: AlertCause, users: AppUsers) -> list[Failure]:
    if cause.kind == "run_failed":
        return []
    return _attempt(lambda: describe(connection, cause, users), [], cause.id)


def _describe_runs(connection: Connection, run_ids: list[str]) -> list[Failure]:
    """Failures of runs: one for all with the same subject, and one for each schedule that fails again and again."""
    found = find_failed_runs(connection, run_ids)
    # A workflow that was started for a failure starts none for its own, which would never end.
    alert_causes.note_starts(connection, [run.row["id"] for run in found if run.trigger != "on_failure"])

    settings: dict[str, AlertSettings] = {}
    alerting = [run for run in found if _alerts(connection, run, settings)]
    no_access = failed_calls.without_access(connection, [run.row["id"] for run in alerting])
    equal: dict[tuple[str, str], list[FailedRun]] = {}
    scheduled: dict[str, list[FailedRun]] = {}
    for run in alerting:
        subject = subject_of(run, no_access.get(run.row["id"]))
        equal.setdefault((run.row["owner"], subject), []).append(run)
        if run.row["schedule_id"] is not None:
            scheduled.setdefault(run.row["schedule_id"], []).append(run)

    failures = [
        _describe_equal(connection, some, no_access.get(some[-1].row["id"])) for some in equal.values()
    ]
    # The last run of each decides, and is the one that the alert leads to.
    failures += [_describe_schedule(connection, some) for some in scheduled.values()]
    return [failure for failure in failures if failure is not None]


def _describe_equal(
    connection: Connection, some: list[FailedRun], no_access: ErrorEntry | None
) -> Failure | None:
    last = some[-1]
    run_id = last.row["id"]
    exception = ""
    if no_access is None:
        exception = _attempt(lambda: _exception_of(connection, run_id), "", run_id)
    return _attempt(lambda: describe_run(last, no_access, exception, len(some)), None, run_id)


def _describe_schedule(connection: Connection, some: list[FailedRun]) -> Failure | None:
    return _attempt(lambda: describe_schedule_of(connection, some[-1], len(some)), None, some[-1].row["id"])


def _exception_of(connection: Connection, run_id: str) -> str:
    """The last line of the traceback that a run's log ends with, "" without one. Logs are stored without secrets."""
    lines = [line.message for line in logs.last(connection, run_id, _LOG_LINES) if line.stream != "platform"]
    found = last_exception("\n".join(lines))
    if found is None:
        return ""
    name, message, _ = found
    name = name.rsplit(".", maxsplit=1)[-1]
    return f"{name}: {message}" if message else name


def _alerts(connection: Connection, run: FailedRun, settings: dict[str, AlertSettings]) -> bool:
    """Whether the owner of a run wants alerts of such ones. `settings`: by owner, as far as they were read."""
    owner = run.row["owner"]
    if owner not in settings:
        settings[owner] = alert_messages.settings_of(connection, owner)
    match settings[owner].runs:
        case "triggered":
            return run.trigger in ALERTING
        case "background":
            return True
        case "none":
            return False


def _attempt(describe_it: Callable[[], T], otherwise: T, cause: str) -> T:
    try:
        return describe_it()
    except (LookupError, TypeError, ValueError):
        # One that can't be told must not keep the others from being told.
        log.exception("a failure could not be told", cause=cause)
        return otherwise
