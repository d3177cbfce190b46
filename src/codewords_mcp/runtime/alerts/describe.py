"""Failures in words: the title, the reason and the subject of an alert for each cause.

Equal subjects share an alert, so a subject has no text of a program and nothing that differs between equal failures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from codewords_mcp.runtime.alerts.describe_trigger import describe_trigger
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.model.integration import AppUser
from codewords_mcp.runtime.model.plain_text import one_line, quoted
from codewords_mcp.runtime.model.run_columns import ErrorEntry
from codewords_mcp.runtime.model.run_state import FAILED
from codewords_mcp.runtime.store import failed_calls
from codewords_mcp.runtime.store.alert_causes import AlertCause
from codewords_mcp.runtime.store.alerts import Failure
from codewords_mcp.runtime.store.connection_users import users_of_apps
from codewords_mcp.runtime.store.tables import runs, schedules, workflows

ON_FAILURE = "on_failure/"
"""The beginning of the idempotency key of a run that `on_failure` started."""
FAILING_AFTER = 3
"""Failures in a row after which a schedule counts as failing again and again."""
MAX_LOOKED_AT = 100
"""Last runs of a workflow that are looked through for those of a schedule."""
_DELIVERY = "whd_"
"""The beginning of the correlation id of runs that a webhook started."""
_NAME = 100
_SHOWN_USERS = 5
_EXCEPTION = 200
_COLUMNS = (
    runs.c.id, runs.c.owner, runs.c.service_id, runs.c.version, runs.c.status, runs.c.error, runs.c.response_status,
    runs.c.schedule_id, runs.c.correlation_id, runs.c.parent_id, runs.c.idempotency_key, runs.c.created_at,
    runs.c.completed_at, runs.c.input, runs.c.made_by, runs.c.key_id, runs.c.depth, runs.c.trigger_kind,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that failed. `name`: its workflow's, as it is stored.

    `trigger`: schedule, webhook, trigger (of an event source), on_failure, or background.
    """

    row: RowMapping
    name: str
    trigger: str

    @property
    def workflow(self) -> str:
        """The name of its workflow in quotation marks."""
        return quoted(self.name, _NAME)


def find_failed_run(connection: Connection, run_id: str) -> FailedRun | None:
    """Return a run that failed; None if it is gone, or a person deleted its workflow."""
    query = select(*_COLUMNS, workflows.c.name.label("workflow")).join(
        workflows, workflows.c.id == runs.c.service_id
    )
    row = connection.execute(query.where(runs.c.id == run_id)).mappings().first()
    if row is None or row["status"] not in FAILED:
        return None
    return FailedRun(row, row["workflow"], _trigger(row))


def find_failed_runs(connection: Connection, run_ids: Sequence[str]) -> list[FailedRun]:
    """Return those of the runs that failed and are on record, in the order of the ids."""
    query = select(*_COLUMNS, workflows.c.name.label("workflow")).join(
        workflows, workflows.c.id == runs.c.service_id
    )
    found = connection.execute(query.where(runs.c.id.in_(run_ids), runs.c.status.in_(FAILED))).mappings()
    rows = {row["id"]: row for row in found}
    return [
        FailedRun(rows[id_], rows[id_]["workflow"], _trigger(rows[id_])) for id_ in run_ids if id_ in rows
    ]


def _trigger(row: RowMapping) -> str:
    if row["schedule_id"] is not None:
        return "schedule"
    # A called run has the correlation id of the run that calls it.
    if row["parent_id"] is None and str(row["correlation_id"] or "").startswith(_DELIVERY):
        return "webhook"
    if str(row["idempotency_key"] or "").startswith(ON_FAILURE):
        return "on_failure"
    if row["trigger_kind"] is not None:
        return "trigger"
    return "background"


def subject_of(run: FailedRun, no_access: ErrorEntry | None) -> str:
    """The subject of a run's failure. `no_access`: see `failed_calls`."""
    row = run.row
    if no_access is not None:
        app = failed_calls.app_of(no_access)
    else:
        app = None
    if app is not None:
        cause = f"not_connected {app}"
    else:
        cause = f"{_code_of(run)} {row['response_status'] or ''}".strip()
    return f"run_failed/{row['service_id']}/{cause}"[:240]


def describe_run(run: FailedRun, no_access: ErrorEntry | None, exception: str, times: int) -> Failure:
    """The failure that equal failed runs are told as, of which this is the last. `exception`: its traceback's last line."""
    row = run.row
    error: ErrorEntry | None = row["error"]
    detail: dict[str, Any] = {"code": _code_of(run), "trigger": run.trigger}
    message = error["message"] if error else "It failed."
    if no_access is not None:
        # The program's own error only follows from that.
        app = failed_calls.app_of(no_access)
        message = no_access["message"]
        if app is not None:
            detail["app"] = app
            message = f"{message} A person connects it again."
    elif exception:
        message = f"{message.rstrip('.')}: {quoted(exception, _EXCEPTION)}."

    return Failure(
        row["owner"],
        "run_failed",
        subject_of(run, no_access),
        f"The workflow {run.workflow} failed",
        f"{message} {_started_by(run.trigger)}",
        row["completed_at"] or row["created_at"],
        service_id=row["service_id"],
        schedule_id=row["schedule_id"],
        run_id=row["id"],
        times=times,
        detail=detail,
    )


def describe_schedule_of(connection: Connection, run: FailedRun, times: int) -> Failure | None:
    """The failure of a schedule that fails again and again, whose last run this is; None where it does not."""
    row = run.row
    if row["schedule_id"] is None or not _keeps_failing(connection, row):
        return None
    name = _schedule_name(connection, row["schedule_id"])
    error: ErrorEntry | None = row["error"]
    return Failure(
        row["owner"],
        "schedule_failing",
        f"schedule_failing/{row['schedule_id']}",
        f"The schedule {name} of {run.workflow} fails again and again",
        f"Its last {FAILING_AFTER} runs failed. {error['message'] if error else ''}".strip(),
        row["completed_at"] or row["created_at"],
        service_id=row["service_id"],
        schedule_id=row["schedule_id"],
        run_id=row["id"],
        times=times,
        detail={"code": _code_of(run)},
    )


def _code_of(run: FailedRun) -> str:
    error: ErrorEntry | None = run.row["error"]
    return str(error["code"]) if error else "failed"


_STARTED_BY = {
    "schedule": "A schedule had started it.",
    "webhook": "A webhook had started it.",
    "trigger": "A trigger had started it.",
    "on_failure": "It was started for the failure of another workflow.",
    "background": "It ran in the background.",
}


def _started_by(trigger: str) -> str:
    return _STARTED_BY[trigger]


def _keeps_failing(connection: Connection, row: RowMapping) -> bool:
    # Of the workflow's last runs, which its index has in order: those of a schedule have none, and may be many.
    query = select(runs.c.schedule_id, runs.c.status).where(
        runs.c.owner == row["owner"],
        runs.c.service_id == row["service_id"],
        runs.c.completed_at.is_not(None),
        # Later ones are told for themselves.
        runs.c.created_at <= row["created_at"],
    )
    newest = query.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(MAX_LOOKED_AT)
    failed = 0
    with connection.execute(newest) as found:
        for run in found:
            if run.schedule_id != row["schedule_id"]:
                continue
            if run.status not in FAILED:
                return False
            failed += 1
            if failed == FAILING_AFTER:
                return True
    return False


def _schedule_name(connection: Connection, schedule_id: str) -> str:
    query = select(schedules.c.name, schedules.c.cron).where(schedules.c.id == schedule_id)
    row = connection.execute(query).first()
    return quoted((row.name or row.cron if row else "") or schedule_id, _NAME)


AppUsers = dict[str, dict[str, list[AppUser]]]
"""By owner, the workflows that use each app."""


def describe(connection: Connection, cause: AlertCause, known: AppUsers) -> list[Failure]:
    """Failures that a cause is told as, other than that of a run; none where its subject is gone.

    `known` holds what was read for other causes.
    """
    detail = cause.detail
    match cause.kind:
        case "schedule_missed" | "schedule_stopped":
            return _describe_schedule(connection, cause)
        case "trigger_failing" | "trigger_stopped" | "trigger_missed":
            return describe_trigger(connection, cause)
        case "run_overdue":
            return _describe_overdue(connection, cause)
        case "on_failure_failed":
            return _describe_not_started(connection, cause)
        case "delivery_failed":
            return [
                Failure(
                    detail["owner"],
                    "delivery_failed",
                    f"delivery_failed/{detail['endpoint']}",
                    "A webhook's delivery started no run",
                    detail["reason"],
                    cause.at,
                    service_id=detail["service_id"],
                )
            ]
        case "connection_lost":
            app = quoted(detail["app"], _NAME)
            owner = detail["owner"]
            if owner not in known:
                known[owner] = users_of_apps(connection, owner)
            users = known[owner].get(detail["app"], [])
            return [
                Failure(
                    detail["owner"],
                    "connection_lost",
                    connection_subject(detail["app"]),
                    f"The account of {app} lost its access",
                    _describe_users(users),
                    cause.at,
                    detail={"app": detail["app"]},
                )
            ]
        case "runtime_restarted":
            return [_describe_restart(cause)]
        case _:
            return []


def _describe_overdue(connection: Connection, cause: AlertCause) -> list[Failure]:
    detail = cause.detail
    query = select(workflows.c.name).where(workflows.c.id == detail["service_id"])
    name = connection.execute(query).scalar()
    if name is None:
        return []
    return [
        Failure(
            detail["owner"],
            "run_overdue",
            f"run_overdue/{detail['id']}",
            f"A run of the workflow {quoted(name, _NAME)} waited too long",
            "What it waited for was over, and the run did not go on. The runtime resumes such runs within a minute.",
            cause.at,
            service_id=detail["service_id"],
            run_id=detail["id"],
            detail={"run_id": detail["id"]},
        )
    ]


def _describe_users(users: Sequence[AppUser]) -> str:
    if not users:
        return "Workflows that use it fail until a person connects it again."
    names = [_describe_user(user) for user in users[:_SHOWN_USERS]]
    if len(users) > _SHOWN_USERS:
        names.append(f"{len(users) - _SHOWN_USERS} more")
    return f"These fail until a person connects it again: {', '.join(names)}."


def _describe_user(user: AppUser) -> str:
    starts = (
        f" ({', '.join(one_line(trigger, _NAME) for trigger in user.triggers[:3])})" if user.triggers else ""
    )
    return f"{quoted(user.name, _NAME)}{starts}"


def _describe_not_started(connection: Connection, cause: AlertCause) -> list[Failure]:
    run = find_failed_run(connection, cause.detail["run_id"])
    if run is None:
        return []
    return [
        Failure(
            run.row["owner"],
            "on_failure_failed",
            f"on_failure_failed/{run.row['service_id']}",
            f"The workflow {run.workflow} failed, and none was started for it",
            cause.detail["reason"],
            cause.at,
            service_id=run.row["service_id"],
            run_id=run.row["id"],
        )
    ]


def connection_subject(app: str) -> str:
    """The subject of the alert of a dead account of an app."""
    return f"connection_lost/{app}"[:240]


def _describe_schedule(connection: Connection, cause: AlertCause) -> list[Failure]:
    query = select(schedules.c.owner, schedules.c.service_id, workflows.c.name.label("workflow"))
    joined = query.join(workflows, workflows.c.id == schedules.c.service_id, isouter=True)
    row = connection.execute(joined.where(schedules.c.id == cause.detail["schedule_id"])).mappings().first()
    if row is None:
        return []

    schedule_id = cause.detail["schedule_id"]
    name = _schedule_name(connection, schedule_id)
    if row["workflow"]:
        of = f" of {quoted(row['workflow'], _NAME)}"
    else:
        of = ""
    if cause.kind == "schedule_missed":
        does = "was missed"
    else:
        does = "was paused"
    return [
        Failure(
            row["owner"],
            cause.kind,
            f"{cause.kind}/{schedule_id}",
            f"The schedule {name}{of} {does}",
            cause.detail["note"],
            cause.at,
            service_id=row["service_id"],
            schedule_id=schedule_id,
            times=cause.detail.get("times", 1),
        )
    ]


def _describe_restart(cause: AlertCause) -> Failure:
    interrupted = int(cause.detail.get("interrupted", 0))
    if interrupted:
        ended = f"{interrupted} {'run was' if interrupted == 1 else 'runs were'} interrupted."
    else:
        ended = "No run was interrupted."
    return Failure(
        HOME_OWNER,
        "runtime_restarted",
        "runtime_restarted",
        "The runtime ended unexpectedly and was started again",
        f"{ended} The log of the runtime says more, where it is kept.",
        cause.at,
    )
