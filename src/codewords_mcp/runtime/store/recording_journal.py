"""Rows of the journals of runs that may be resumed: what each attempt sent. Deleted with the request of the run."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from codewords_mcp.errors import WriteUnknown
from codewords_mcp.runtime.model.run import FINISHED
from codewords_mcp.runtime.model.run_columns import AttemptEntry
from codewords_mcp.runtime.model.run_state import ACTIVE, has_open_attempt
from codewords_mcp.runtime.store.tables import recording_journal, runs

_INSERT = insert(recording_journal)
_ROWS = recording_journal.c
_LEFT_BEHIND = select(runs.c.id).where(
    runs.c.id.in_(select(_ROWS.run_id)),
    runs.c.status.in_(sorted(FINISHED)),
    func.coalesce(runs.c.error["code"].as_string(), "") != WriteUnknown.code,
)


def is_current(connection: Connection, run_id: str, attempt: int, executor: str) -> bool:
    """Whether this process makes this attempt at the run, and nobody can take it over before the transaction ends."""
    query = select(runs.c.executor, runs.c.status, runs.c.attempts).where(runs.c.id == run_id)
    row = connection.execute(query.with_for_update()).first()
    if row is None or row.executor != executor or row.status not in ACTIVE:
        return False
    attempts: list[AttemptEntry] = row.attempts or []
    return has_open_attempt(attempts) and attempts[-1]["number"] == attempt


def put(connection: Connection, run_id: str, place: tuple[int, int], state: str, sealed: bytes) -> None:
    """Write an entry, in place of the one that is there."""
    attempt, number = place
    changed = connection.execute(
        update(recording_journal)
        .where(_ROWS.run_id == run_id, _ROWS.attempt == attempt, _ROWS.number == number)
        .values(state=state, sealed=sealed)
    )
    if not changed.rowcount:
        row = {"run_id": run_id, "attempt": attempt, "number": number, "state": state, "sealed": sealed}
        connection.execute(_INSERT, row)


def drop(connection: Connection, run_id: str, place: tuple[int, int]) -> None:
    """Delete an entry."""
    attempt, number = place
    connection.execute(
        delete(recording_journal).where(
            _ROWS.run_id == run_id, _ROWS.attempt == attempt, _ROWS.number == number
        )
    )


def change_state(
    connection: Connection,
    run_id: str,
    place: tuple[int, int],
    *,
    state: str,
    only_from: Collection[str],
) -> bool:
    """Move an entry to another state. False if it is in none of the expected ones: somebody else was first."""
    attempt, number = place
    changed = connection.execute(
        update(recording_journal)
        .where(
            _ROWS.run_id == run_id,
            _ROWS.attempt == attempt,
            _ROWS.number == number,
            _ROWS.state.in_(only_from),
        )
        .values(state=state)
    )
    return changed.rowcount == 1


def ask(connection: Connection, run_id: str, places: Collection[tuple[int, int]]) -> None:
    """Move entries to the state `asked`, which no others of the run have then."""
    # An attempt that died with its question may have left some: the answer must be for the writes that the error names.
    connection.execute(
        update(recording_journal).where(_ROWS.run_id == run_id, _ROWS.state == "asked").values(state="begun")
    )
    for place in places:
        change_state(connection, run_id, place, state="asked", only_from=("begun", "done"))


def has_any(connection: Connection, run_id: str) -> bool:
    """Whether a run has entries."""
    return connection.execute(select(_ROWS.run_id).where(_ROWS.run_id == run_id).limit(1)).first() is not None


def left_behind(connection: Connection, limit: int = 500) -> list[str]:
    """Runs that have ended and ask nothing, and whose journals are still here: their last attempts were killed."""
    return list(connection.execute(_LEFT_BEHIND.limit(limit)).scalars())


def is_left_behind(connection: Connection, run_id: str) -> bool:
    """Whether this is such a run; nobody else settles it before the transaction ends."""
    query = _LEFT_BEHIND.where(runs.c.id == run_id).with_for_update()
    return connection.execute(query).first() is not None


def of_run(connection: Connection, run_id: str) -> list[RowMapping]:
    """The entries of a run, in their order."""
    query = select(recording_journal).where(_ROWS.run_id == run_id).order_by(_ROWS.attempt, _ROWS.number)
    return list(connection.execute(query).mappings())


def remove(connection: Connection, run_id: str) -> None:
    """Delete the journal of a run."""
    connection.execute(delete(recording_journal).where(_ROWS.run_id == run_id))
