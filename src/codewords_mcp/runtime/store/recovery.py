"""Recover the runs of executors that are gone, and record the outcome of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping, func, select, update

from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.model.run_state import (
    SUSPENDED,
    UNFINISHED,
    claimed_by,
    close_attempts,
    has_open_attempt,
    not_delivered,
    platform_error,
    to_finished,
    to_released,
    to_released_anew,
    to_suspended,
)
from codewords_mcp.runtime.model.suspension import shown_reason, state_of
from codewords_mcp.runtime.store import requests, run_waits
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.runs import change
from codewords_mcp.runtime.store.tables import runs

STOPPED = "The runtime stopped while this run was in flight."
RERUN_HINT = "Run it again if it is safe to do so."
NOT_SUSPENDED = func.coalesce(runs.c.waits_for, "").not_in(SUSPENDED)
"""Condition of runs that do not wait for a person or a time without a sandbox."""


@dataclass(slots=True)
class Abandoned:
    """Runs that were interrupted, and runs that wait to be executed (again)."""

    interrupted: list[str] = field(default_factory=list[str])
    again: list[str] = field(default_factory=list[str])


def abandon(
    connection: Connection, held_by: Collection[str] | None = None, among: Collection[str] | None = None
) -> Abandoned:
    """Settle the runs of these executors (None: of any) that ended or released the runs `among`
    them.

    A run with an attempt in flight is `interrupted`, or waits for its next attempt if its header
    asks for retries. A run without one keeps waiting. A run with a requested cancellation is
    cancelled.
    """
    # A run that waits without a sandbox is nobody's, and stays as it is.
    query = select(runs).where(runs.c.status.in_(UNFINISHED), NOT_SUSPENDED)
    if held_by is not None:
        query = query.where(runs.c.executor.in_(held_by))
    if among is not None:
        query = query.where(runs.c.id.in_(among))
    abandoned, at = Abandoned(), now()
    # A row that is locked is settled by another replica, or still written by its executor: the next round
    # sees it.
    for row in connection.execute(query.with_for_update(skip_locked=True)).mappings().all():
        values = _columns_of_waiting(connection, row, at) or _columns_after(row, at)
        if values is None:
            continue

        change(connection, row["id"], values)
        if values.get("status") == "queued":
            abandoned.again.append(row["id"])
        else:
            abandoned.interrupted.append(row["id"])
            requests.forget_unless_resumable(connection, row["id"])

    return abandoned


def _columns_of_waiting(connection: Connection, row: RowMapping, at: int) -> RunColumns | None:
    """Columns of a run whose attempt waited, or did not know yet that its wait is over; None for another."""
    if row["cancel_asked"] or not row["background"] or not has_open_attempt(row["attempts"]):
        return None
    waits = run_waits.facts(connection, row["id"])
    match state_of(waits):
        case "none":
            return None
        case "waiting":
            return to_suspended(
                shown_reason(waits), close_attempts(row["attempts"], at, "suspended"), row["retries"]
            )
        case "over":
            return to_released_anew(close_attempts(row["attempts"], at, "interrupted"), row["retries"])


def _columns_after(row: RowMapping, at: int) -> RunColumns | None:
    """Columns of a run that its executor left; None for a run that stays in the queue."""
    attempts = close_attempts(row["attempts"], at, "interrupted")

    # The message to its executor may have been lost with it, so the record decides.
    if row["cancel_asked"]:
        error = platform_error("cancelled", "The run was cancelled.", RERUN_HINT)
        return to_finished("cancelled", error, at, attempts, release=True)
    if row["background"] and not has_open_attempt(row["attempts"]):
        if row["executor"] is None:
            return None
        return to_released(attempts)
    # Retries come beside the first attempt.
    if row["background"] and len(attempts) <= row["retries"]:
        return to_released(attempts)

    error = platform_error("interrupted", STOPPED, RERUN_HINT)
    return to_finished("interrupted", error, at, attempts, release=True)


def claim(connection: Connection, run_id: str, executor: str) -> bool:
    """Claim a waiting run without an executor; False if another process was faster or it has ended."""
    statement = (
        update(runs)
        .where(runs.c.id == run_id, runs.c.status == "queued", runs.c.executor.is_(None), NOT_SUSPENDED)
        .values(claimed_by(executor))
    )
    return connection.execute(statement).rowcount == 1


class UndeliveredRun(NamedTuple):
    """A waiting run that gets a new queue entry. `not_before` in µs."""

    id: str
    owner: str
    key_id: str | None
    service_id: str
    priority: int
    not_before: int | None
    deliveries: int


def undelivered(connection: Connection, limit: int = 500) -> list[UndeliveredRun]:
    """Return waiting background runs that neither an executor nor the queue has.

    They are locked until the transaction ends.
    """
    query = (
        select(*(runs.c[name] for name in UndeliveredRun._fields))
        .where(
            runs.c.status == "queued",
            runs.c.background.is_(True),
            runs.c.executor.is_(None),
            runs.c.in_queue.is_(False),
            NOT_SUSPENDED,
        )
        .order_by(runs.c.created_at)
        .limit(limit)
        # Another replica works on the locked ones, so waiting for them would be for nothing.
        .with_for_update(skip_locked=True)
    )
    return [UndeliveredRun(*row) for row in connection.execute(query)]


def stranded(connection: Connection, run_ids: Collection[str]) -> None:
    """Mark runs as not queued whose executor died between taking the queue entry and claiming the
    run.
    """
    # Only where nobody has claimed it since.
    lost = update(runs).where(runs.c.id.in_(run_ids), runs.c.status == "queued", runs.c.executor.is_(None))
    connection.execute(lost.values(not_delivered()))


def waiting_anywhere(connection: Connection) -> bool:
    """Whether a background run waits that no executor holds."""
    query = select(runs.c.id).where(
        runs.c.status == "queued", runs.c.background.is_(True), runs.c.executor.is_(None), NOT_SUSPENDED
    )
    return connection.execute(query.limit(1)).first() is not None
