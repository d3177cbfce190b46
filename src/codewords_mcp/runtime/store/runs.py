"""Run records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Table,
    and_,
    bindparam,
    insert,
    or_,
    select,
    tuple_,
    update,
)
from typing_extensions import Unpack

from codewords_mcp.runtime.model.run import (
    FINISHED,
    Attempt,
    ResponseFile,
    Run,
    RunError,
    RunInput,
    Step,
    TriggerRef,
)
from codewords_mcp.runtime.model.run_columns import AttemptEntry, RunColumns
from codewords_mcp.runtime.model.run_filter import RunConditions
from codewords_mcp.runtime.model.run_state import FAILED
from codewords_mcp.runtime.store import alert_causes, audit_capture, ended_runs, run_ends
from codewords_mcp.runtime.store.clock import optional_datetime, to_datetime, to_micros
from codewords_mcp.runtime.store.prepared import Prepared
from codewords_mcp.runtime.store.run_causes import has_cause
from codewords_mcp.runtime.store.run_chain import descends
from codewords_mcp.runtime.store.tables import runs

# Asked at the end of each background run: to build a statement of so many columns costs more than to execute it.
_GET = select(runs).where(runs.c.id == bindparam("of_run"))
_GET_OF_OWNER = _GET.where(runs.c.owner == bindparam("of_owner"))


def to_run(row: RowMapping) -> Run:
    """A row as the model."""
    attempts = [
        Attempt(
            number=a["number"],
            started_at=to_datetime(a["started_at"]),
            ended_at=optional_datetime(a["ended_at"]),
            outcome=a["outcome"],
        )
        for a in row["attempts"]
    ]
    return Run(
        **light_facts(row),
        response_content=row["response_content"],
        response_json=row["response_json"],
        response_truncated=row["response_truncated"],
        response_file=ResponseFile(**row["response_file"]) if row["response_file"] else None,
        correlation_id=row["correlation_id"],
        attempts=attempts,
        steps=[Step(id=s["id"], at=to_datetime(s["at"])) for s in row["steps"]],
        timings_ms=row["timings"],
        isolation=row["isolation"],
        background=row["background"],
        depth=row["depth"],
        held=row["executor"] is not None,
    )


LIGHT = (
    runs.c.id, runs.c.owner, runs.c.service_id, runs.c.version, runs.c.status, runs.c.created_at, runs.c.started_at,
    runs.c.running_at, runs.c.completed_at, runs.c.response_status, runs.c.error, runs.c.usage, runs.c.retries,
    runs.c.not_before, runs.c.waits_for, runs.c.parent_id, runs.c.schedule_id, runs.c.input, runs.c.mode, runs.c.mode_of,
    runs.c.trigger_kind, runs.c.trigger_id, runs.c.event_key,
)  # fmt: skip
"""The columns of a run in a list."""


def light_facts(row: RowMapping) -> dict[str, Any]:
    """The fields of a run that are in those columns."""
    return {
        "id": row["id"],
        "owner": row["owner"],
        "service_id": row["service_id"],
        "version": row["version"],
        "status": row["status"],
        "created_at": to_datetime(row["created_at"]),
        "started_at": optional_datetime(row["started_at"]),
        "running_at": optional_datetime(row["running_at"]),
        "completed_at": optional_datetime(row["completed_at"]),
        "response_status": row["response_status"],
        "error": RunError(**row["error"]) if row["error"] else None,
        "usage": row["usage"],
        "retries": row["retries"],
        "not_before": optional_datetime(row["not_before"]),
        "waits_for": row["waits_for"],
        "parent_id": row["parent_id"],
        "schedule_id": row["schedule_id"],
        "input": RunInput(**row["input"]) if row["input"] else None,
        "mode": row["mode"],
        "mode_of": row["mode_of"],
        "trigger": _trigger_of(row),
    }


def _trigger_of(row: RowMapping) -> TriggerRef | None:
    if row["trigger_kind"] is not None:
        return TriggerRef(kind=row["trigger_kind"], id=row["trigger_id"], event=row["event_key"])
    # A run from before triggers were recorded.
    if row["schedule_id"] is not None:
        return TriggerRef(kind="schedule", id=row["schedule_id"])
    return None


_DEFAULTS: RunColumns = {
    "version": None, "started_at": None, "completed_at": None, "response_status": None, "response_content": None,
    "response_json": None, "correlation_id": None, "parent_id": None, "idempotency_key": None, "service_id": None,
    "error": None, "isolation": None, "response_truncated": False, "attempts": [], "steps": [], "usage": {}, "timings": {},
    "background": False, "executor": None, "running_at": None, "retries": 0, "in_queue": False, "deliveries": 0, "depth": 0,
    "priority": 50, "not_before": None, "schedule_id": None,
    "key_id": None, "cpu_seconds": None, "peak_memory": None, "cost": None,
    "waits_for": None, "egress_in": None, "egress_out": None, "input": None, "made_by": None,
    "response_file": None, "mode": None, "mode_of": None, "trace_parent": None,
    "trigger_kind": None, "trigger_id": None, "event_key": None, "summed": None,
}  # fmt: skip
_INSERT = Prepared(insert(runs), audit_capture.note_new_run)


def add(connection: Connection, values: RunColumns) -> None:
    """A new row; `values` needs id, owner, status, created_at."""
    row: dict[str, Any] = {**_DEFAULTS, "cancel_asked": False, **values}
    _INSERT.execute(connection, row)
    if values.get("status") in FINISHED:
        run_ends.collect(connection, [row[column.name] for column in run_ends.RETURNED], values)


@cache
def _update(
    names: tuple[str, ...], only_from: tuple[str, ...] | None, *, held: bool
) -> tuple[Prepared, Prepared]:
    """The statement, without and with the columns that the end of a run is counted by.

    Built once for each set of columns: building a statement costs more than running it.
    """
    condition = runs.c.id == bindparam("_id")
    if only_from is not None:
        condition = and_(condition, or_(*(runs.c.status == status for status in only_from)))
    # A replica that was taken over for dead may still be writing: only the holder's values count.
    if held:
        condition = and_(condition, runs.c.executor == bindparam("_holder"))
    statement = update(runs).where(condition).values({name: bindparam(name) for name in names})
    return Prepared(statement), Prepared(statement.returning(*run_ends.RETURNED))


def change(
    connection: Connection,
    run_id: str,
    values: RunColumns,
    *,
    only_from: tuple[str, ...] | None = None,
    holder: str | None = None,
) -> bool:
    """Set columns; with `only_from`, only if the status is one of these; with `holder`, only if that executor holds
    the run. True if a row was changed.
    """
    statement, returning = _update(tuple(values), only_from, held=holder is not None)
    parameters = {**values, "_id": run_id, "_holder": holder}
    if values.get("status") not in FINISHED:
        return statement.execute(connection, parameters).rowcount == 1

    row = returning.execute(connection, parameters).first()
    if row is None:
        return False
    if values.get("status") in FAILED:
        # In the same transaction, so that no crash makes a failure silent.
        alert_causes.note_failed_run(connection, run_id)
    # Likewise, so that no crash loses the event of a trigger.
    ended_runs.note_end(connection, run_id)
    run_ends.collect(connection, tuple(row), values)
    return True


def held(connection: Connection, run_ids: list[str], holder: str) -> set[str]:
    """Those of these that this executor holds; nobody takes them over before the transaction ends."""
    query = select(runs.c.id).where(runs.c.id.in_(run_ids), runs.c.executor == holder)
    return set(connection.execute(query.with_for_update(read=True)).scalars())


def get(
    connection: Connection, run_id: str, owner: str | None = None, within: str | None = None
) -> Run | None:
    """By id; with `owner`, only if it is theirs; with `within`, only that run and its descendants."""
    if within is not None and not descends(connection, run_id, within):
        return None
    query = _GET if owner is None else _GET_OF_OWNER
    row = connection.execute(query, {"of_run": run_id, "of_owner": owner}).mappings().first()
    if row:
        return to_run(row)
    return None


class RunEnd(NamedTuple):
    """Whether a run has ended, and for everybody: `executor` may still write to it."""

    status: str
    executor: str | None
    completed_at: int | None


def end_of(connection: Connection, run_id: str) -> RunEnd | None:
    """The end of a run; None if there is no such run."""
    query = select(runs.c.status, runs.c.executor, runs.c.completed_at).where(runs.c.id == run_id)
    row = connection.execute(query).first()
    return RunEnd(*row) if row else None


class BriefRun(NamedTuple):
    """A run in the fewest words: enough for a list to know which row to read again."""

    id: str
    service_id: str
    status: str


def brief(connection: Connection, owner: str, run_ids: list[str]) -> list[BriefRun]:
    """Those of the runs that are the owner's and have started."""
    query = select(runs.c.id, runs.c.service_id, runs.c.status).where(
        runs.c.id.in_(run_ids), runs.c.owner == owner, runs.c.status != "provisioned"
    )
    return [BriefRun(*row) for row in connection.execute(query)]


def find_idempotent(connection: Connection, owner: str, service_id: str, key: str) -> str | None:
    """The id of the run that first used this idempotency key."""
    query = select(runs.c.id).where(
        runs.c.owner == owner, runs.c.service_id == service_id, runs.c.idempotency_key == key
    )
    return connection.execute(query).scalar()


def find_resumed(connection: Connection, run_id: str) -> str | None:
    """The id of the run that goes on with this one."""
    query = select(runs.c.id).where(runs.c.mode_of == run_id, runs.c.mode == "resume")
    return connection.execute(query.limit(1)).scalar()


def latest(connection: Connection, run_id: str, owner: str | None = None) -> Run | None:
    """The run that goes on with this one, by the last answer of a person; itself if none does. None if there is none."""
    while (run := get(connection, run_id, owner)) is not None and run.asks:
        resumed = find_resumed(connection, run.id)
        if resumed is None:
            break
        run_id = resumed
    return run


def attempts_of(connection: Connection, run_id: str) -> list[AttemptEntry]:
    """The attempts at a run."""
    return connection.execute(select(runs.c.attempts).where(runs.c.id == run_id)).scalar() or []


_LATEST = (2**62, "")


def page(
    connection: Connection,
    owner: str,
    *,
    limit: int,
    before: tuple[int, str] | None,
    below: str | None = None,
    **matching: Unpack[RunConditions],
) -> list[Run]:
    """Newest first; records of provisioned ids that no run used are left out, and replays unless it is their `mode`.

    `below`: only this run and its descendants.
    """
    query = listed((runs,), owner, before=before, below=below, **matching).limit(limit)
    return [to_run(row) for row in connection.execute(query).mappings()]


def listed(
    columns: Sequence[Table | ColumnElement[Any]],
    owner: str,
    *,
    before: tuple[int, str] | None,
    below: str | None,
    **matching: Unpack[RunConditions],
) -> Select[*tuple[Any, ...]]:
    """A query of runs with the conditions and the order of their list."""
    query = select(*columns).where(
        runs.c.owner == owner, runs.c.status != "provisioned", *_conditions(matching)
    )
    if below is not None:
        tree = select(runs.c.id).where(runs.c.id == below).cte("tree", recursive=True)
        tree = tree.union(select(runs.c.id).join(tree, runs.c.parent_id == tree.c.id))
        query = query.where(runs.c.id.in_(select(tree.c.id)))

    # always within the index's order: PostgreSQL that never looked at the table would read and sort all of it otherwise
    query = query.where(tuple_(runs.c.created_at, runs.c.id) < (before or _LATEST))
    return query.order_by(runs.c.created_at.desc(), runs.c.id.desc())


def _conditions(matching: RunConditions) -> Iterator[ColumnElement[bool]]:
    columns = runs.c
    if mode := matching.get("mode"):
        yield columns.mode == mode
    else:
        # `!=` would leave out runs without a mode, whose column is NULL.
        yield columns.mode.is_distinct_from("replay")

    if (service_id := matching.get("service_id")) is not None:
        yield columns.service_id == service_id
    if (version := matching.get("version")) is not None:
        yield columns.version == version
    if (status := matching.get("status")) is not None:
        yield columns.status == status
    if (since := matching.get("since")) is not None:
        yield columns.created_at >= to_micros(since)
    if (until := matching.get("until")) is not None:
        yield columns.created_at < to_micros(until)

    if (trigger := matching.get("trigger")) is not None:
        yield has_cause(trigger)


def last_ended(connection: Connection, owner: str, service_id: str, limit: int) -> Sequence[RowMapping]:
    """(id, running_at, completed_at, cost of machines) of the latest ordinary runs of a workflow that ran to an end."""
    query = (
        select(runs.c.id, runs.c.running_at, runs.c.completed_at, runs.c.cost)
        .where(
            runs.c.owner == owner,
            runs.c.service_id == service_id,
            runs.c.mode.is_(None),
            runs.c.status.in_(("succeeded", "failed", "timed_out")),
            runs.c.running_at.is_not(None),
            runs.c.completed_at.is_not(None),
        )
        .order_by(runs.c.created_at.desc(), runs.c.id.desc())
        .limit(limit)
    )
    return connection.execute(query).mappings().all()
