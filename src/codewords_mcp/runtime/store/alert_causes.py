"""Failures that no alert counts yet, in the order in which they were written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, delete, exists, func, literal, select

from codewords_mcp.runtime.model.alert import AlertKind
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.inserts import insert_into, insert_once
from codewords_mcp.runtime.store.tables import alert_causes, runs

LOG_WAIT = 3_000_000
"""Microseconds for which a failed run's log may go on before its failure is told."""
START = "start"
"""Kind of the causes that start a workflow instead of an alert."""
_FIRST = select(alert_causes.c.id).where(alert_causes.c.kind != START).limit(1)


class AlertCause(NamedTuple):
    """A failure. `detail` names what failed, by kind."""

    id: str
    kind: AlertKind
    at: int
    detail: Mapping[str, Any]


def note_failed_run(connection: Connection, run_id: str) -> None:
    """Note a run that failed, if it is an ordinary one that no caller waited for."""
    # One statement, which reads the row that this transaction has changed.
    detail = literal({"run_id": run_id}, alert_causes.c.detail.type)
    found = select(literal(f"run {run_id}"), literal("run_failed"), literal(now(), BigInteger), detail).where(
        runs.c.id == run_id, runs.c.background.is_(True), runs.c.mode.is_(None)
    )
    into = insert_into(connection.dialect.name, alert_causes)
    columns = ("id", "kind", "at", "detail")
    connection.execute(into.from_select(columns, found).on_conflict_do_nothing())


def note(connection: Connection, cause_id: str, kind: AlertKind, detail: Mapping[str, Any]) -> None:
    """Note a failure, once for each id."""
    row = {"id": cause_id[:120], "kind": kind, "at": now(), "detail": dict(detail)}
    insert_once(connection, alert_causes, row)


def note_starts(connection: Connection, run_ids: Sequence[str]) -> None:
    """Note failed runs whose workflows may name one to start for them."""
    if run_ids:
        into = insert_into(connection.dialect.name, alert_causes).on_conflict_do_nothing()
        rows = [
            {"id": f"start {id_}", "kind": START, "at": now(), "detail": {"run_id": id_}} for id_ in run_ids
        ]
        connection.execute(into, rows)


def peek_starts(connection: Connection, limit: int) -> list[AlertCause]:
    """Return failed runs whose workflow may name one to start, the oldest first."""
    query = select(alert_causes).where(alert_causes.c.kind == START)
    query = query.order_by(alert_causes.c.at, alert_causes.c.id).limit(limit)
    return [
        AlertCause(row["id"], row["kind"], row["at"], row["detail"])
        for row in connection.execute(query).mappings()
    ]


def discard(connection: Connection, cause_id: str) -> None:
    """Remove a cause."""
    connection.execute(delete(alert_causes).where(alert_causes.c.id == cause_id))


def take(connection: Connection, limit: int) -> list[AlertCause]:
    """Take causes out: the transaction that takes them makes their alerts."""
    query = select(alert_causes).where(alert_causes.c.kind != START, ~_is_unfinished())
    query = query.order_by(alert_causes.c.at, alert_causes.c.id)
    # Another replica is about to take those that are locked.
    found = connection.execute(query.limit(limit).with_for_update(skip_locked=True)).mappings().all()
    causes = [AlertCause(row["id"], row["kind"], row["at"], row["detail"]) for row in found]
    connection.execute(delete(alert_causes).where(alert_causes.c.id.in_([cause.id for cause in causes])))
    return causes


def is_empty(connection: Connection) -> bool:
    """Whether no cause of an alert waits: one cheap statement, asked after every run."""
    return connection.execute(_FIRST).first() is None


def has_any(connection: Connection) -> bool:
    """Whether a cause waits that can be told."""
    return connection.execute(_FIRST.where(~_is_unfinished())).first() is not None


def has_unfinished(connection: Connection) -> bool:
    """Whether a cause waits for the end of its run's log."""
    return connection.execute(_FIRST.where(_is_unfinished())).first() is not None


def _is_unfinished() -> ColumnElement[bool]:
    """Condition of causes whose run a process still writes to: the traceback comes after the response."""
    # The id of such a cause is `run ` and the id of its run.
    held = exists().where(runs.c.id == func.substr(alert_causes.c.id, 5), runs.c.executor.is_not(None))
    return (
        (alert_causes.c.kind == "run_failed")
        & (alert_causes.c.at > now() - LOG_WAIT)
        & held.correlate(alert_causes)
    )
