"""Paired Chromes of people: one for each owner, stored by the hash of its token."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from codewords_mcp.runtime.store.tables import browsers


def get(connection: Connection, owner: str) -> RowMapping | None:
    """The owner's, if one is paired."""
    return connection.execute(select(browsers).where(browsers.c.owner == owner)).mappings().first()


def by_hash(connection: Connection, digest: str) -> RowMapping | None:
    """Return the browser with this token."""
    return connection.execute(select(browsers).where(browsers.c.hash == digest)).mappings().first()


def pair(connection: Connection, values: dict[str, Any]) -> None:
    """Pair a browser with its owner, replacing an earlier one."""
    connection.execute(delete(browsers).where(browsers.c.owner == values["owner"]))
    connection.execute(insert(browsers).values(values))


def seen(connection: Connection, digest: str, **values: Any) -> bool:
    """Something of it has changed; False where it is not paired any more."""
    return connection.execute(update(browsers).where(browsers.c.hash == digest).values(values)).rowcount == 1


def left(connection: Connection, digest: str, executor: str, at: int) -> None:
    """It is not connected to this executor any more."""
    which = (browsers.c.hash == digest, browsers.c.executor == executor)
    connection.execute(update(browsers).where(*which).values(executor=None, seen_at=at))


def forget(connection: Connection, owner: str) -> bool:
    """Whether there was one."""
    return connection.execute(delete(browsers).where(browsers.c.owner == owner)).rowcount == 1
