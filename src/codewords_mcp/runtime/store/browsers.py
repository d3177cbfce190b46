"""Paired Chromes of people: one for each owner, stored by the hash of its token."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from codewords_mcp.runtime.store.first_row import first_row
from codewords_mcp.runtime.store.rows import BrowserChange, BrowserRow
from codewords_mcp.runtime.store.tables import browsers


def get(connection: Connection, owner: str) -> BrowserRow | None:
    """The owner's, if one is paired."""
    return first_row(connection, select(browsers).where(browsers.c.owner == owner), BrowserRow)


def by_hash(connection: Connection, digest: str) -> BrowserRow | None:
    """Return the browser with this token."""
    return first_row(connection, select(browsers).where(browsers.c.hash == digest), BrowserRow)


def pair(connection: Connection, values: BrowserRow) -> None:
    """Pair a browser with its owner, replacing an earlier one."""
    connection.execute(delete(browsers).where(browsers.c.owner == values["owner"]))
    connection.execute(insert(browsers).values(values))


def seen(connection: Connection, digest: str, values: BrowserChange) -> bool:
    """Something of it has changed; False where it is not paired any more."""
    return connection.execute(update(browsers).where(browsers.c.hash == digest).values(values)).rowcount == 1


def left(connection: Connection, digest: str, executor: str, at: int) -> None:
    """It is not connected to this executor any more."""
    # The browser may be connected to another replica by now, whose note has to stay.
    which = (browsers.c.hash == digest, browsers.c.executor == executor)
    connection.execute(update(browsers).where(*which).values(executor=None, seen_at=at))


def forget(connection: Connection, owner: str) -> bool:
    """Whether there was one."""
    return connection.execute(delete(browsers).where(browsers.c.owner == owner)).rowcount == 1
