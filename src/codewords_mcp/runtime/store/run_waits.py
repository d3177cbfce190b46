"""Rows of things that runs wait for.

Writers lock the row of the run first, then that of the wait: an answer and the end of an attempt see each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, insert, or_, select, text, update

from codewords_mcp.errors import WriteUnknown
from codewords_mcp.runtime.model.run import FINISHED
from codewords_mcp.runtime.model.run_columns import ErrorEntry, RunColumns
from codewords_mcp.runtime.model.run_state import SUSPENDED, to_resumed
from codewords_mcp.runtime.model.run_wait import RunWait
from codewords_mcp.runtime.model.suspension import ALL, WaitFacts, WaitState, state_of
from codewords_mcp.runtime.store import question_messages
from codewords_mcp.runtime.store.clock import now, optional_datetime, to_datetime
from codewords_mcp.runtime.store.runs import change
from codewords_mcp.runtime.store.tables import run_waits, runs
from codewords_mcp.runtime.store.tables.waits import UNTAKEN

_ROWS = run_waits.c
_SUSPENDED = and_(
    runs.c.status == "queued", runs.c.executor.is_(None), func.coalesce(runs.c.waits_for, "").in_(SUSPENDED)
)


class WaitingRun(NamedTuple):
    """A run, as far as its waits concern it."""

    id: str
    status: str
    executor: str | None
    waits_for: str | None
    error: ErrorEntry | None

    @property
    def is_over(self) -> bool:
        """Whether it has ended for good. One that asks about its writes goes on as another run, which takes its waits over."""
        asks = self.error is not None and self.error["code"] == WriteUnknown.code
        return self.status in FINISHED and not asks

    @property
    def is_suspended(self) -> bool:
        """Whether it has given its sandbox back until a wait is over."""
        return self.status == "queued" and self.executor is None and self.waits_for in SUSPENDED


_RUN = select(runs.c.id, runs.c.status, runs.c.executor, runs.c.waits_for, runs.c.error)


def lock_run(connection: Connection, run_id: str) -> WaitingRun | None:
    """A run, which nobody else changes before the transaction ends; None if there is none."""
    row = connection.execute(_RUN.where(runs.c.id == run_id).with_for_update()).first()
    return None if row is None else WaitingRun(*row)


def run_of(connection: Connection, run_id: str) -> WaitingRun | None:
    """A run; None if there is none."""
    row = connection.execute(_RUN.where(runs.c.id == run_id)).first()
    return None if row is None else WaitingRun(*row)


def find(connection: Connection, run_id: str, key: str) -> RunWait | None:
    """The wait that a call of a run has begun; None if there is none."""
    query = select(run_waits).where(_ROWS.run_id == run_id, _ROWS.key == key)
    row = connection.execute(query).mappings().first()
    return _to_wait(row) if row else None


def add(
    connection: Connection, wait: RunWait, key: str, *, resumable: bool, due_at: int, taken: bool = False
) -> None:
    """A new wait. `resumable`: its run may give its sandbox back; `taken`: the run need not learn of its end."""
    connection.execute(
        insert(run_waits).values(
            id=wait.id,
            kind=wait.kind,
            owner=wait.owner,
            run_id=wait.run_id,
            key=key,
            service_id=wait.service_id,
            title=wait.title,
            question=wait.question,
            resumable=resumable,
            created_at=now(),
            due_at=due_at,
            status=wait.status,
            taken=taken,
        )
    )


def get(connection: Connection, wait_id: str) -> RunWait | None:
    """By id."""
    row = connection.execute(select(run_waits).where(_ROWS.id == wait_id)).mappings().first()
    return _to_wait(row) if row else None


def close(
    connection: Connection,
    wait_id: str,
    status: str,
    answer: dict[str, Any] | None,
    *,
    by: str | None = None,
    source: str | None = None,
) -> bool:
    """End an open wait. False if it is over."""
    values: dict[str, Any] = {
        "status": status, "answer": answer, "closed_at": now(), "closed_by": by, "closed_from": source,
    }  # fmt: skip
    # Of two answers at once, the row changes for the first only.
    statement = update(run_waits).where(_ROWS.id == wait_id, _ROWS.status == "open").values(values)
    if connection.execute(statement).rowcount != 1:
        return False
    question_messages.close(connection, [wait_id])
    return True


def count(connection: Connection, run_id: str, kind: str) -> int:
    """The number of a run's waits of a kind."""
    query = select(func.count()).select_from(run_waits).where(_ROWS.run_id == run_id, _ROWS.kind == kind)
    return connection.execute(query).scalar_one()


def begin(connection: Connection, wait_id: str, *, due_at: int, resumable: bool) -> None:
    """Let a run wait for an address that it has made."""
    values = {"status": "open", "due_at": due_at, "resumable": resumable, "taken": False}
    connection.execute(update(run_waits).where(_ROWS.id == wait_id, _ROWS.status == "new").values(values))


def receive(connection: Connection, wait_id: str, answer: dict[str, Any]) -> None:
    """Answer the wait for an address, also before the run waits for it."""
    values = {"status": "answered", "answer": answer, "closed_at": now()}
    # A sender may be faster than the workflow that gave it the address.
    which = _ROWS.id == wait_id, _ROWS.status.in_(("new", "open"))
    connection.execute(update(run_waits).where(*which).values(values))


def open_address(connection: Connection, run_id: str) -> RunWait | None:
    """The address that a run waits for a request to; None if it waits for none."""
    query = select(run_waits).where(_ROWS.run_id == run_id, _ROWS.kind == "webhook", _ROWS.status == "open")
    row = connection.execute(query.order_by(_ROWS.created_at).limit(1)).mappings().first()
    return _to_wait(row) if row else None


def take(connection: Connection, wait_id: str) -> None:
    """The run knows that the wait is over."""
    connection.execute(update(run_waits).where(_ROWS.id == wait_id).values(taken=True))


def withdraw_of_run(connection: Connection, run_id: str) -> bool:
    """End the open waits of a run that has ended. True if there was one."""
    which = _ROWS.run_id == run_id, _ROWS.status == "open"
    ids = list(connection.execute(select(_ROWS.id).where(*which)).scalars())
    if ids:
        ended = {"status": "withdrawn", "closed_at": now(), "taken": True}
        connection.execute(update(run_waits).where(*which).values(ended))
        question_messages.close(connection, ids)
    return bool(ids)


def adopt(connection: Connection, run_id: str, resumed_id: str) -> None:
    """Let a run wait on for the things that the run waited for from which it goes on: its program asks for the same ones."""
    moved = update(run_waits).where(_ROWS.run_id == resumed_id).values(run_id=run_id)
    connection.execute(moved)


def call_goes_on(connection: Connection, called_id: str, resumed_id: str) -> None:
    """Let the callers of a run that asked about its writes wait for the one that goes on with it."""
    # Orders this with a caller that begins to wait.
    lock_run(connection, called_id)
    which = _ROWS.key == called_id, _ROWS.kind == "run"
    connection.execute(update(run_waits).where(*which).values(key=resumed_id))


def reopen(connection: Connection, wait_id: str, *, due_at: int) -> None:
    """Let a run wait again for a run that it called."""
    values: dict[str, Any] = {
        "status": "open", "due_at": due_at, "taken": False, "answer": None, "closed_at": None, "closed_by": None,
        "closed_from": None,
    }  # fmt: skip
    connection.execute(update(run_waits).where(_ROWS.id == wait_id).values(values))


def take_called(connection: Connection, run_id: str, called_id: str) -> None:
    """The run knows that a run that it called has ended."""
    which = _ROWS.run_id == run_id, _ROWS.key == called_id, _ROWS.kind == "run"
    values = {"status": "answered", "closed_at": now(), "taken": True}
    connection.execute(update(run_waits).where(*which).values(values))


def for_ended_runs(connection: Connection, limit: int, called_id: str | None = None) -> list[RunWait]:
    """Open waits for runs that have ended or are gone, of one such run if its id is given. The key of such a wait is that id.

    One that asks about its writes has not ended: `call_goes_on`.
    """
    called = runs.alias("called")
    asks = func.coalesce(called.c.error["code"].as_string(), "") == WriteUnknown.code
    ended = and_(called.c.status.in_(sorted(FINISHED)), ~asks)
    query = (
        select(run_waits)
        .outerjoin(called, called.c.id == _ROWS.key)
        .where(_ROWS.status == "open", _ROWS.kind == "run", or_(called.c.id.is_(None), ended))
    )
    if called_id is not None:
        query = query.where(_ROWS.key == called_id)
    return [_to_wait(row) for row in connection.execute(query.limit(limit)).mappings()]


def next_due(connection: Connection) -> int | None:
    """The earliest time at which an open wait is over, in µs."""
    return connection.execute(select(func.min(_ROWS.due_at)).where(_ROWS.status == "open")).scalar()


def due(connection: Connection, at: int, limit: int) -> list[RunWait]:
    """Open waits that are over at this time, the earliest first."""
    query = (
        select(run_waits).where(_ROWS.status == "open", _ROWS.due_at <= at).order_by(_ROWS.due_at, _ROWS.id)
    )
    return [_to_wait(row) for row in connection.execute(query.limit(limit)).mappings()]


def facts(connection: Connection, run_id: str) -> list[WaitFacts]:
    """All waits of a run, as far as `model/suspension.py` decides by them."""
    query = select(_ROWS.kind, _ROWS.status, _ROWS.resumable, _ROWS.taken).where(_ROWS.run_id == run_id)
    return [WaitFacts(*row) for row in connection.execute(query)]


def resume(connection: Connection, run: WaitingRun, executor: str | None) -> bool:
    """Let this executor claim a locked run, None any, if the run is suspended and nothing holds it up. True if it was so."""
    if not run.is_suspended or state_of(facts(connection, run.id)) == "waiting":
        return False
    return change(connection, run.id, to_resumed(executor), only_from=("queued",))


def over(connection: Connection, run_id: str) -> list[str]:
    """Ids of the waits that are over and that their run does not know of."""
    query = select(_ROWS.id).where(_ROWS.run_id == run_id, text(UNTAKEN), _condition("over"))
    return list(connection.execute(query).scalars())


def suspend(
    connection: Connection, run_id: str, values: RunColumns, passed: Sequence[str], holder: str
) -> None:
    """Record that an attempt of this executor gives its sandbox back. `passed` are the waits that were over before it began."""
    lock_run(connection, run_id)
    if change(connection, run_id, values, holder=holder) and passed:
        connection.execute(update(run_waits).where(_ROWS.id.in_(passed)).values(taken=True))


def over_of_suspended(connection: Connection, limit: int) -> list[str]:
    """Suspended runs with a wait that is over: the process that should have resumed them was stopped before it."""
    waits = select(_ROWS.run_id).where(text(UNTAKEN), _condition("over"))
    return list(
        connection.execute(select(runs.c.id).where(_SUSPENDED, runs.c.id.in_(waits)).limit(limit)).scalars()
    )


class OverdueRun(NamedTuple):
    """A suspended run that nothing holds up."""

    id: str
    owner: str
    service_id: str


def overdue(connection: Connection, before: int, limit: int, owner: str | None = None) -> list[OverdueRun]:
    """Suspended runs of an owner, None for all, whose waits were over before a time in µs. Reads all suspended runs.

    Also those that wait for nothing at all, or whose deadline nobody looked at.
    """
    of_run = select(_ROWS.id).where(_ROWS.run_id == runs.c.id)
    holds = of_run.where(or_(_condition("waiting"), _ROWS.closed_at >= before))
    late = of_run.where(
        or_(
            and_(_condition("over"), _ROWS.closed_at < before),
            and_(_condition("waiting"), _ROWS.due_at < before),
        )
    )
    query = select(runs.c.id, runs.c.owner, runs.c.service_id)
    query = query.where(_SUSPENDED, or_(late.exists(), ~holds.exists()))
    if owner is not None:
        query = query.where(runs.c.owner == owner)
    return [OverdueRun(*row) for row in connection.execute(query.order_by(runs.c.created_at).limit(limit))]


def _condition(state: WaitState) -> ColumnElement[bool]:
    """Rows of waits that are in a state."""
    found = {one[1:] for one in ALL if one.state == state}
    return or_(
        *(
            and_(_ROWS.status == status, _ROWS.resumable.is_(resumable), _ROWS.taken.is_(taken))
            for status, resumable, taken in sorted(found)
        )
    )


def open_questions(connection: Connection, owner: str, limit: int) -> list[RunWait]:
    """Questions to an owner whose runs wait for the answer, the newest first."""
    query = (
        select(run_waits)
        .join(runs, _ROWS.run_id == runs.c.id)
        .where(
            _ROWS.owner == owner,
            _ROWS.status == "open",
            _ROWS.kind == "question",
            runs.c.status.not_in(sorted(FINISHED)),
        )
        .order_by(_ROWS.created_at.desc(), _ROWS.id.desc())
    )
    return [_to_wait(row) for row in connection.execute(query.limit(limit)).mappings()]


def of_run(connection: Connection, run_id: str, kind: str, limit: int) -> list[RunWait]:
    """The waits of a run, the newest first."""
    query = select(run_waits).where(_ROWS.run_id == run_id, _ROWS.kind == kind)
    ordered = query.order_by(_ROWS.created_at.desc(), _ROWS.id.desc())
    return [_to_wait(row) for row in connection.execute(ordered.limit(limit)).mappings()]


def _to_wait(row: RowMapping) -> RunWait:
    return RunWait(
        id=row["id"],
        kind=row["kind"],
        owner=row["owner"],
        run_id=row["run_id"],
        service_id=row["service_id"],
        title=row["title"],
        question=row["question"],
        created_at=to_datetime(row["created_at"]),
        due_at=to_datetime(row["due_at"]),
        status=row["status"],
        answer=row["answer"],
        closed_at=optional_datetime(row["closed_at"]),
        closed_by=row["closed_by"],
        closed_from=row["closed_from"],
    )
