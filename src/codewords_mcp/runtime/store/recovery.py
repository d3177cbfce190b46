"""Who holds a run, and what becomes of it when the holder is gone. The record tells what happened, never silently."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, select, update

from codewords_mcp.runtime.store import requests
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.runs import UNFINISHED, change
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


def _verdict(row: RowMapping, at: int) -> dict[str, Any] | None:
    """The columns to set, None to leave the run where it is: in the queue."""
    attempts: list[dict[str, Any]] = row["attempts"]
    begun = bool(attempts) and attempts[-1]["ended_at"] is None
    closed = [a if a["ended_at"] else a | {"ended_at": at, "outcome": "interrupted"} for a in attempts]
    if row["cancel_asked"]:
        return _over("cancelled", "cancelled", "The run was cancelled.", closed, at)
    if row["background"] and not begun:
        if row["executor"] is None:
            return None
        return _wait(closed)
    if row["background"] and len(attempts) <= row["retries"]:
        return _wait(closed)

    return _over("interrupted", "interrupted", STOPPED, closed, at)


def _wait(attempts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "status": "queued",
        "executor": None,
        "in_queue": False,
        "attempts": attempts,
        "waits_for": "turn",
    }


def _over(status: str, code: str, message: str, attempts: list[dict[str, Any]], at: int) -> dict[str, Any]:
    error = {"code": code, "message": message, "origin": "platform", "hint": RUN_AGAIN}
    # held by nobody: one that was taken for dead and comes back must not end it another way
    return {"status": status, "completed_at": at, "error": error, "attempts": attempts, "executor": None}


def claim(connection: Connection, run_id: str, executor: str) -> bool:
    """Take a waiting run that nobody holds; False where somebody was quicker or it has ended."""
    taken = (
        update(runs)
        .where(runs.c.id == run_id, runs.c.status == "queued", runs.c.executor.is_(None))
        .values(executor=executor, in_queue=False)
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
    connection.execute(lost.values(in_queue=False))


def waiting_anywhere(connection: Connection) -> bool:
    """Whether a background run waits that no executor holds."""
    query = select(runs.c.id).where(
        runs.c.status == "queued", runs.c.background.is_(True), runs.c.executor.is_(None)
    )
    return connection.execute(query.limit(1)).first() is not None
