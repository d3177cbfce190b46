"""Values that services keep by key, each owner's apart, each until its time."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, or_, select, update

from codewords_mcp.runtime.store import advisory_locks, inserts
from codewords_mcp.runtime.store.tables import service_values as table

_HEAD_LENGTH = 8
"""Characters of a value that tell its type."""


class KeyPage(NamedTuple):
    """The values of a prefix whose keys come `after` one, and that expire before `until`, if it is given."""

    owner: str
    space: str
    prefix: str
    after: str | None
    until: int | None
    limit: int


def _live(owner: str, space: str, at: int) -> ColumnElement[bool]:
    time = or_(table.c.expires_at.is_(None), table.c.expires_at > at)
    return (table.c.owner == owner) & (table.c.space == space) & time


def get(connection: Connection, owner: str, space: str, key: str, at: int) -> RowMapping | None:
    """Value and expiry; None past its time."""
    query = select(table.c.value, table.c.expires_at).where(_live(owner, space, at), table.c.key == key)
    return connection.execute(query).mappings().first()


def lock(connection: Connection, owner: str, space: str, key: str) -> None:
    """Let nobody else count on this key before the transaction ends."""
    # By name and not by row, since there may be no value yet.
    advisory_locks.lock(connection, [("value", owner, space, key)])


def put(connection: Connection, owner: str, space: str, key: str, value: str, expires_at: int | None) -> None:
    """Store or replace."""
    row = {"owner": owner, "space": space, "key": key, "value": value, "expires_at": expires_at}
    inserts.put(connection, table, row)


def replace(connection: Connection, owner: str, space: str, key: str, before: str, value: str) -> bool:
    """Change a value, if it is still what was read before; False where it was changed or removed meanwhile."""
    same = (table.c.owner == owner) & (table.c.space == space) & (table.c.key == key)
    change = update(table).where(same, table.c.value == before).values(value=value)
    return connection.execute(change).rowcount == 1


def expire(connection: Connection, owner: str, space: str, key: str, at: int, expires_at: int | None) -> bool:
    """Another time; False where there is no such value."""
    change = update(table).where(_live(owner, space, at), table.c.key == key).values(expires_at=expires_at)
    return connection.execute(change).rowcount == 1


def remove(connection: Connection, owner: str, space: str, key: str, at: int) -> bool:
    """Delete a value; False if there is none. Of two concurrent calls one gets True."""
    return connection.execute(delete(table).where(_live(owner, space, at), table.c.key == key)).rowcount == 1


def keys(connection: Connection, owner: str, space: str, prefix: str, at: int, limit: int) -> list[str]:
    """Those that begin with a prefix, in order."""
    query = select(table.c.key).where(
        _live(owner, space, at), table.c.key.startswith(prefix, autoescape=True)
    )
    return list(connection.execute(query.order_by(table.c.key).limit(limit)).scalars())


def page(connection: Connection, page: KeyPage, at: int) -> list[RowMapping]:
    """Key, expiry and the beginning of the value (`head`) of a page, in the order of the keys."""
    head = func.substr(table.c.value, 1, _HEAD_LENGTH).label("head")
    query = select(table.c.key, table.c.expires_at, head).where(
        _live(page.owner, page.space, at), table.c.key.startswith(page.prefix, autoescape=True)
    )
    if page.after is not None:
        query = query.where(table.c.key > page.after)
    if page.until is not None:
        query = query.where(table.c.expires_at <= page.until)
    return list(connection.execute(query.order_by(table.c.key).limit(page.limit)).mappings())


def live(connection: Connection, owner: str, space: str, at: int) -> list[RowMapping]:
    """Key, value and expiry of all that are not past their time, the soonest to expire first."""
    query = select(table.c.key, table.c.value, table.c.expires_at).where(_live(owner, space, at))
    return list(connection.execute(query.order_by(table.c.expires_at, table.c.key)).mappings())


def count(connection: Connection, owner: str, space: str) -> int:
    """Count the owner's values, expired ones included."""
    query = select(func.count()).select_from(table).where(table.c.owner == owner, table.c.space == space)
    return connection.execute(query).scalar_one()


def purge(connection: Connection, at: int) -> int:
    """Remove those past their time; how many."""
    return connection.execute(delete(table).where(table.c.expires_at <= at)).rowcount
