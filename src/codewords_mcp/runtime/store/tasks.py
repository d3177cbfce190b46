"""Tasks: calls of tools that outlast their request. Only the process in `executor` ends a task."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from codewords_mcp.runtime.store.first_row import first_row
from codewords_mcp.runtime.store.rows import TaskChange, TaskRow
from codewords_mcp.runtime.store.tables import tasks

OPEN = ("working", "input_required")


def add(connection: Connection, values: TaskRow) -> None:
    """A new one."""
    connection.execute(insert(tasks).values(values))


def get(connection: Connection, task_id: str, principal: str) -> TaskRow | None:
    """One, if it is theirs."""
    query = select(tasks).where(tasks.c.id == task_id, tasks.c.principal == principal)
    return first_row(connection, query, TaskRow)


def change(connection: Connection, task_id: str, executor: str, values: TaskChange) -> bool:
    """Change an open task of this executor; False if another executor has it, or it has ended."""
    own = (tasks.c.id == task_id) & (tasks.c.executor == executor) & tasks.c.status.in_(OPEN)
    return connection.execute(update(tasks).where(own).values(values)).rowcount == 1


class TaskSignal(NamedTuple):
    """The things that other processes recorded for the executor of a task. `answers` is JSON."""

    id: str
    cancel_requested: bool
    answers: str | None


def beat(connection: Connection, executor: str, ids: list[str], at: int) -> list[TaskSignal]:
    """Record that the executor lives. Returns its tasks that are to be cancelled or were answered."""
    mine = (tasks.c.executor == executor) & tasks.c.id.in_(ids)
    connection.execute(update(tasks).where(mine).values(beat_at=at))
    changed = mine & (tasks.c.cancel_asked | tasks.c.answers.is_not(None))
    query = select(tasks.c.id, tasks.c.cancel_asked, tasks.c.answers).where(changed)
    return [TaskSignal(*row) for row in connection.execute(query)]


def take_over(connection: Connection, row: TaskRow, executor: str, at: int) -> bool:
    """Take over a task of a dead executor; False if another process was faster."""
    same = (
        (tasks.c.id == row["id"])
        & (tasks.c.executor == row["executor"])
        # A beat since the look means that its process lives after all.
        & (tasks.c.beat_at == row["beat_at"])
        & tasks.c.status.in_(OPEN)
    )
    new = {"executor": executor, "beat_at": at, "status": "working", "asks": None, "answers": None}
    return connection.execute(update(tasks).where(same).values(new)).rowcount == 1


def leave(connection: Connection, executor: str) -> None:
    """Release the executor's tasks: others may take them over at once."""
    own = (tasks.c.executor == executor) & tasks.c.status.in_(OPEN)
    connection.execute(update(tasks).where(own).values(beat_at=0))


def request_cancel(connection: Connection, task_id: str) -> None:
    """Have the holder cancel it."""
    connection.execute(update(tasks).where(tasks.c.id == task_id).values(cancel_asked=True))


def answer(connection: Connection, task_id: str, answers: str) -> None:
    """Answers for the holder, as JSON."""
    waits = (tasks.c.id == task_id) & (tasks.c.status == "input_required")
    connection.execute(update(tasks).where(waits).values(answers=answers))


def purge(connection: Connection, at: int) -> int:
    """Remove those past their time; how many."""
    return connection.execute(delete(tasks).where(tasks.c.expires_at <= at)).rowcount
