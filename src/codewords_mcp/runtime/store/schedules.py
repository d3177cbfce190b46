"""Schedules, and the time of their next run."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from codewords_mcp.runtime.model.run_state import UNFINISHED
from codewords_mcp.runtime.store.first_row import first_row
from codewords_mcp.runtime.store.rows import NewSchedule, ScheduleChange, ScheduleRow, ShownSchedule
from codewords_mcp.runtime.store.tables import runs, schedules


def add(connection: Connection, values: NewSchedule) -> None:
    """A new row."""
    connection.execute(insert(schedules).values(values))


def get(
    connection: Connection, schedule_id: str, owner: str, maker: str | None = None
) -> ShownSchedule | None:
    """By id, if it is theirs; with `maker`, if that workflow made it."""
    query = _with_last_run().where(schedules.c.id == schedule_id, schedules.c.owner == owner)
    if maker is not None:
        query = query.where(schedules.c.maker == maker)
    return first_row(connection, query, ShownSchedule)


def _with_last_run() -> Select[Any]:
    """With `last_status` and `last_error` of the run that was started last."""
    last = runs.alias("last_run")
    columns = (last.c.status.label("last_status"), last.c.error.label("last_error"))
    # Outer, since retention may have removed that run.
    return select(schedules, *columns).join(last, last.c.id == schedules.c.last_run_id, isouter=True)


def find_equal(connection: Connection, row: NewSchedule) -> str | None:
    """Return the id of an equal schedule of this owner and maker: same work at the same times."""
    same = ("owner", "maker", "service_id", "method", "path", "cron", "timezone")
    query = select(schedules.c.id, schedules.c.input).where(
        # With `=` no two schedules without a maker, or without a cron, would be equal.
        *(schedules.c[name].is_not_distinct_from(row.get(name)) for name in same),
        schedules.c.paused.is_(False),
        schedules.c.next_at == row["next_at"],
    )
    # The input is compared here, since PostgreSQL's `json` has no equality.
    return next(
        (schedule.id for schedule in connection.execute(query) if schedule.input == row["input"]), None
    )


def of_owner(
    connection: Connection,
    owner: str,
    service_id: str | None = None,
    maker: str | None = None,
    *,
    limit: int | None = None,
    offset: int = 0,
) -> list[ShownSchedule]:
    """List the owner's schedules by next time, paused ones last; with `maker`, only that
    workflow's.
    """
    query = _with_last_run().where(schedules.c.owner == owner)
    if maker is not None:
        query = query.where(schedules.c.maker == maker)
    if service_id is not None:
        query = query.where(schedules.c.service_id == service_id)
    # SQLite sorts NULL first and PostgreSQL last, so the place of what has no next time is said.
    order = (schedules.c.paused, schedules.c.next_at.is_(None), schedules.c.next_at, schedules.c.id)
    page = query.order_by(*order).limit(limit).offset(offset)
    return [ShownSchedule(**row) for row in connection.execute(page).mappings()]


def count(connection: Connection, owner: str, service_id: str | None = None) -> int:
    """Count the owner's schedules, with `service_id` only those of this workflow."""
    query = select(func.count()).select_from(schedules).where(schedules.c.owner == owner)
    if service_id is not None:
        query = query.where(schedules.c.service_id == service_id)
    return connection.execute(query).scalar_one()


def counts(connection: Connection, owner: str, workflow_ids: Collection[str]) -> dict[str, int]:
    """Count the schedules of each of these workflows that has any."""
    query = select(schedules.c.service_id, func.count()).where(
        schedules.c.owner == owner, schedules.c.service_id.in_(workflow_ids)
    )
    return {row[0]: row[1] for row in connection.execute(query.group_by(schedules.c.service_id))}


def change(connection: Connection, schedule_id: str, values: ScheduleChange) -> None:
    """Set columns."""
    connection.execute(update(schedules).where(schedules.c.id == schedule_id).values(values))


def remove(connection: Connection, schedule_id: str, owner: str, maker: str | None = None) -> bool:
    """Delete; False if there is none. Its runs stay."""
    statement = delete(schedules).where(schedules.c.id == schedule_id, schedules.c.owner == owner)
    if maker is not None:
        statement = statement.where(schedules.c.maker == maker)
    return connection.execute(statement).rowcount == 1


def _waits() -> ColumnElement[bool]:
    return and_(schedules.c.paused.is_(False), schedules.c.next_at.is_not(None))


def next_time(connection: Connection) -> tuple[int | None, bool]:
    """(when the next one is due, in µs; whether any waits for the run before it to end)."""
    earliest = connection.execute(select(func.min(schedules.c.next_at)).where(_waits())).scalar()
    deferred = select(schedules.c.id).where(schedules.c.held_back > 0, schedules.c.paused.is_(False)).limit(1)
    return earliest, connection.execute(deferred).first() is not None


class CronSchedule(NamedTuple):
    """The times of a cron schedule."""

    id: str
    cron: str
    timezone: str
    next_at: int


def with_cron_after(connection: Connection, at: int) -> list[CronSchedule]:
    """Cron schedules that are not paused and whose next time is later."""
    query = select(schedules.c.id, schedules.c.cron, schedules.c.timezone, schedules.c.next_at)
    query = query.where(
        schedules.c.paused.is_(False), schedules.c.cron.is_not(None), schedules.c.next_at > at
    )
    return [CronSchedule(*row) for row in connection.execute(query)]


def take_due(connection: Connection, at: int, limit: int) -> list[ScheduleRow]:
    """Return due schedules and those with a deferred run, locked until the transaction ends.

    Concurrent callers skip them.
    """
    due = or_(and_(schedules.c.next_at.is_not(None), schedules.c.next_at <= at), schedules.c.held_back > 0)
    query = select(schedules).where(schedules.c.paused.is_(False), due).order_by(schedules.c.next_at)
    found = connection.execute(query.limit(limit).with_for_update(skip_locked=True)).mappings()
    return [ScheduleRow(**row) for row in found]


def has_unfinished_run(connection: Connection, schedule_id: str) -> bool:
    """Whether a run of this schedule has not ended."""
    query = select(runs.c.id).where(runs.c.schedule_id == schedule_id, runs.c.status.in_(UNFINISHED))
    return connection.execute(query.limit(1)).first() is not None
