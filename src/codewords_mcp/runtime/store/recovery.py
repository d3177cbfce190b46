"""Who holds a run, and what becomes of it when the holder is gone. The record tells what happened, never silently."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import Connection, RowMapping, select, update

from codewords_mcp.runtime.model.run_state import (
    UNFINISHED,
    Columns,
    claimed_by,
    close_attempts,
    has_open_attempt,
    not_delivered,
    platform_error,
    to_finished,
    to_released,
)
from codewords_mcp.runtime.store import requests
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.runs import change
from codewords_mcp.runtime.store.tables import runs

STOPPED = "The runtime stopped while this run was in flight."
RUN_AGAIN = "Run it again if it is safe to do so."


@dataclass(slots=True)
class Abandoned:
    """What was left: runs that are over, and runs that wait to be carried out (again)."""

    interrupted: list[str] = field(default_factory=list[str])
    again: list[str] = field(default_factory=list[str])


def abandon(
    connection: Connection, held_by: Collection[str] | None = None, among: Collection[str] | None = None
) -> Abandoned:
    """Settle what these executors held (None: whoever it was): they are gone, or have let go of the runs `among` them.

    A run whose attempt had begun is `interrupted`, or waits for its next attempt where its header asks for retries;
    one that had not begun waits as before; one that somebody wanted cancelled is.
    """
    query = select(runs).where(runs.c.status.in_(UNFINISHED))
    if held_by is not None:
        query = query.where(runs.c.executor.in_(held_by))
    if among is not None:
        query = query.where(runs.c.id.in_(among))
    left, at = Abandoned(), now()
    for row in connection.execute(query.with_for_update(skip_locked=True)).mappings().all():
        values = _verdict(row, at)
        if values is None:
            continue

        change(connection, row["id"], values)
        if values["status"] == "queued":
            left.again.append(row["id"])
        else:
            left.interrupted.append(row["id"])
            requests.forget(connection, row["id"])

    return left


def _verdict(row: RowMapping, at: int) -> Columns | None:
    """Columns of a run that its executor left; None for a run that is in the queue and stays there."""
    attempts = close_attempts(row["attempts"], at, "interrupted")

    if row["cancel_asked"]:
        error = platform_error("cancelled", "The run was cancelled.", RUN_AGAIN)
        return to_finished("cancelled", error, at, attempts, release=True)
    if row["background"] and not has_open_attempt(row["attempts"]):
        if row["executor"] is None:
            return None
        return to_released(attempts)
    if row["background"] and len(attempts) <= row["retries"]:
        return to_released(attempts)

    error = platform_error("interrupted", STOPPED, RUN_AGAIN)
    return to_finished("interrupted", error, at, attempts, release=True)


def claim(connection: Connection, run_id: str, executor: str) -> bool:
    """Take a waiting run that nobody holds; False where somebody was quicker or it has ended."""
    taken = (
        update(runs)
        .where(runs.c.id == run_id, runs.c.status == "queued", runs.c.executor.is_(None))
        .values(claimed_by(executor))
    )
    return connection.execute(taken).rowcount == 1


def undelivered(connection: Connection, limit: int = 500) -> list[RowMapping]:
    """Waiting background runs that neither an executor nor the queue has, locked until the transaction ends."""
    query = (
        select(
            runs.c.id,
            runs.c.owner,
            runs.c.key_id,
            runs.c.service_id,
            runs.c.priority,
            runs.c.not_before,
            runs.c.deliveries,
        )
        .where(
            runs.c.status == "queued",
            runs.c.background.is_(True),
            runs.c.executor.is_(None),
            runs.c.in_queue.is_(False),
        )
        .order_by(runs.c.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(connection.execute(query).mappings())


def stranded(connection: Connection, run_ids: Collection[str]) -> None:
    """The queue gave these to an executor that died before it held them: nobody has them."""
    lost = update(runs).where(runs.c.id.in_(run_ids), runs.c.status == "queued", runs.c.executor.is_(None))
    connection.execute(lost.values(not_delivered()))


def waiting_anywhere(connection: Connection) -> bool:
    """Whether a background run waits that no executor holds."""
    query = select(runs.c.id).where(
        runs.c.status == "queued", runs.c.background.is_(True), runs.c.executor.is_(None)
    )
    return connection.execute(query.limit(1)).first() is not None
