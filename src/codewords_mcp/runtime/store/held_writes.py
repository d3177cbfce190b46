"""Rows of the writes that dry runs hold, by the list that they stand on."""

from __future__ import annotations

from typing import TypedDict

from sqlalchemy import Connection, RowMapping, and_, delete, func, insert, select, update

from codewords_mcp.runtime.model.run import FINISHED
from codewords_mcp.runtime.store import advisory_locks
from codewords_mcp.runtime.store.tables import held_writes, runs

AT_ONCE = 500
"""Lists that are removed in one transaction at the most."""


class HeldWriteRow(TypedDict):
    """A write. `number` is its place on the list, from 1."""

    list_id: str
    number: int
    run_id: str
    owner: str
    created_at: int
    key: str
    state: str
    sealed: bytes


def lock(connection: Connection, list_id: str) -> None:
    """Wait until no other replica adds to a list, until the transaction ends."""
    # By name and not by row, since a new list has no rows yet.
    advisory_locks.lock(connection, [("held writes", list_id)])


def add(connection: Connection, row: HeldWriteRow) -> None:
    """Add a write."""
    connection.execute(insert(held_writes).values(row))


def last_number(connection: Connection, list_id: str) -> int:
    """The number of the last write on a list; 0 for an empty one."""
    query = select(func.max(held_writes.c.number)).where(held_writes.c.list_id == list_id)
    return connection.execute(query).scalar() or 0


def of_list(connection: Connection, owner: str, list_id: str) -> list[RowMapping]:
    """All writes of a list, in their order."""
    query = (
        select(held_writes)
        .where(held_writes.c.list_id == list_id, held_writes.c.owner == owner)
        .order_by(held_writes.c.number)
    )
    return list(connection.execute(query).mappings())


def first_with(
    connection: Connection, owner: str, list_id: str, key: str, state: str, without: tuple[int, ...] = ()
) -> RowMapping | None:
    """The first write of a list with this key in this state, `without` those of these numbers."""
    query = (
        select(held_writes)
        .where(
            held_writes.c.list_id == list_id,
            held_writes.c.owner == owner,
            held_writes.c.key == key,
            held_writes.c.state == state,
            held_writes.c.number.not_in(without),
        )
        .order_by(held_writes.c.number)
        .limit(1)
    )
    return connection.execute(query).mappings().first()


def change_state(connection: Connection, list_id: str, number: int, *, state: str, only_from: str) -> bool:
    """Move a write to another state. False if it is not in the expected one: somebody else was first."""
    changed = connection.execute(
        update(held_writes)
        .where(
            held_writes.c.list_id == list_id,
            held_writes.c.number == number,
            held_writes.c.state == only_from,
        )
        .values(state=state)
    )
    return changed.rowcount == 1


def set_answer(connection: Connection, list_id: str, number: int, answer: bytes) -> None:
    """Store the sealed response to a write that was sent."""
    connection.execute(
        update(held_writes)
        .where(held_writes.c.list_id == list_id, held_writes.c.number == number)
        .values(answer=answer)
    )


def unfinished_run(connection: Connection, list_id: str) -> str | None:
    """A run that may still add to a list: the dry run, one below it, or one that applies it."""
    query = select(runs.c.id).where(
        ((runs.c.mode_of == list_id) | and_(runs.c.id == list_id, runs.c.mode == "dry_run")),
        runs.c.status.not_in(sorted(FINISHED)),
    )
    return connection.execute(query.limit(1)).scalar()


def remove_older(connection: Connection, before: int) -> int:
    """Remove whole lists to which nothing was added since this time. Returns how many lists, at most `AT_ONCE`.

    A list without its first writes would not know what was sent.
    """
    old = (
        select(held_writes.c.list_id)
        .group_by(held_writes.c.list_id)
        .having(func.max(held_writes.c.created_at) < before)
        .limit(AT_ONCE)
    )
    found = list(connection.execute(old).scalars())
    connection.execute(delete(held_writes).where(held_writes.c.list_id.in_(found)))
    return len(found)
