"""Tasks: tool calls that outlast their request, stored so that a restarted or another replica can continue them."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any, Literal, cast

from sqlalchemy import Connection

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.store import tasks as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.executors import clock
from codewords_mcp.runtime.store.rows import TaskChange, TaskRow

TTL = 86_400.0
"""Seconds that a task is kept from its creation."""
TaskStatus = Literal["working", "input_required", "completed", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task as it is stored. Times are microseconds since 1970 UTC.

    `outcome` is the result of a completed task or the error of a failed one. `asks` and `answers`
    are by question. `abandoned`: the task is open, and its process has died.
    """

    id: str
    tool: str
    arguments: dict[str, Any]
    status: TaskStatus
    message: str | None
    created_at: int
    updated_at: int
    outcome: dict[str, Any] | None
    asks: dict[str, Any]
    answers: dict[str, Any]
    abandoned: bool

    @property
    def is_open(self) -> bool:
        """Whether the task has not ended."""
        return self.status in rows.OPEN


class TaskStore:
    """Tasks by id, each of one principal: another's are not found. `executor` names this process.

    On an unshared database any other process of a task has died. On a shared one, a process counts
    as dead after `dead_after` seconds without a heartbeat.
    """

    def __init__(self, database: Database, executor: str, *, dead_after: float = 15.0) -> None:
        self._db = database
        self._executor = executor
        self._dead_after = int(dead_after * 1e6)

    @staticmethod
    def new_id() -> str:
        """A random id of 192 bits. Callers still need their key."""
        return secrets.token_urlsafe(24)

    async def add(self, task_id: str, principal: str, tool: str, arguments: dict[str, Any]) -> TaskRecord:
        """Store a task of this process. Once this returns, the task survives a restart."""
        at = now()
        values: TaskRow = {
            "id": task_id,
            "principal": principal,
            "tool": tool,
            "arguments": json.dumps(arguments),
            "status": "working",
            "message": None,
            "created_at": at,
            "updated_at": at,
            "expires_at": at + int(TTL * 1e6),
            "executor": self._executor,
            "beat_at": at,
            "outcome": None,
            "asks": None,
            "answers": None,
        }
        await self._db.write(_add, values)
        return self._record(values, at)

    async def get(self, task_id: str, principal: str) -> TaskRecord:
        """Return one task. Raises NotFound, also for another's task."""
        return self._record(*await self._row(task_id, principal))

    async def change(
        self,
        task_id: str,
        status: TaskStatus,
        *,
        message: str | None = None,
        outcome: dict[str, Any] | None = None,
        asks: dict[str, Any] | None = None,
    ) -> bool:
        """Record the progress or outcome of a task held here; False where another process holds it now."""
        values: TaskChange = {
            "status": status,
            "message": message,
            "updated_at": now(),
            "outcome": None if outcome is None else json.dumps(outcome),
            "asks": None if asks is None else json.dumps(asks),
            "answers": None,
        }
        return await self._db.write(rows.change, task_id, self._executor, values)

    async def beat(self, ids: list[str]) -> tuple[set[str], dict[str, dict[str, Any]]]:
        """Send a heartbeat for these tasks. Returns (tasks to cancel, answers by task) that other processes recorded."""
        signals = await self._db.write(_beat, self._executor, ids)
        cancelled = {signal.id for signal in signals if signal.cancel_requested}
        return cancelled, {signal.id: json.loads(signal.answers) for signal in signals if signal.answers}

    async def take_over(self, task_id: str, principal: str) -> bool:
        """Take over an abandoned task; False where somebody else was first, or it has ended."""
        row, at = await self._row(task_id, principal)
        # Looked at first, since the take-over itself only compares what it was shown.
        if not self._record(row, at).abandoned:
            return False
        return await self._db.write(_take_over, row, self._executor)

    async def leave(self) -> None:
        """Release every task of this process, which ends, so that others can take them over at once."""
        await self._db.write(rows.leave, self._executor)

    async def ask_cancel(self, task_id: str) -> None:
        """Ask the task's process to cancel it."""
        await self._db.write(rows.request_cancel, task_id)

    async def answer(self, task_id: str, principal: str, answers: dict[str, Any]) -> None:
        """Pass answers to the task's process. Answers to other questions are dropped. Raises NotFound."""
        record = await self.get(task_id, principal)
        known = record.answers | {key: value for key, value in answers.items() if key in record.asks}
        if known:
            await self._db.write(rows.answer, task_id, json.dumps(known))

    async def _row(self, task_id: str, principal: str) -> tuple[TaskRow, int]:
        """(the task, the time by the database's clock). Raises NotFound."""
        row, at = await self._db.read(_get, task_id, principal)
        if row is None or row["expires_at"] <= now():
            raise NotFound("There is no task of that id.", hint="Its time may be over; call the tool again.")
        return row, at

    def _record(self, row: TaskRow, at: int) -> TaskRecord:
        # An unshared database has one process at a time, so any other name is of the past.
        dead = row["executor"] != self._executor and (
            not self._db.shared or row["beat_at"] < at - self._dead_after
        )
        loaded: dict[str, Any] = {
            name: json.loads(row[name] or "{}") for name in ("arguments", "asks", "answers")
        }
        return TaskRecord(
            id=row["id"],
            tool=row["tool"],
            status=cast("TaskStatus", row["status"]),
            message=row["message"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            outcome=json.loads(row["outcome"]) if row["outcome"] else None,
            abandoned=dead and row["status"] in rows.OPEN,
            **loaded,
        )


# These take the database's clock in their own transaction: replicas compare each other's times.
def _add(connection: Connection, values: TaskRow) -> None:
    rows.add(connection, {**values, "beat_at": clock(connection)})


def _get(connection: Connection, task_id: str, principal: str) -> tuple[TaskRow | None, int]:
    return rows.get(connection, task_id, principal), clock(connection)


def _beat(connection: Connection, executor: str, ids: list[str]) -> list[rows.TaskSignal]:
    return rows.beat(connection, executor, ids, clock(connection))


def _take_over(connection: Connection, row: TaskRow, executor: str) -> bool:
    return rows.take_over(connection, row, executor, clock(connection))
