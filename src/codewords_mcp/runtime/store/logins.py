"""Sign-ins of workflows' own users that wait for a code or link, and their sessions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from codewords_mcp.runtime.store.first_row import first_row
from codewords_mcp.runtime.store.rows import LoginRow, LoginSessionRow
from codewords_mcp.runtime.store.tables import login_sessions as sessions
from codewords_mcp.runtime.store.tables import logins

MAX_SESSIONS = 20
"""Of one user; the oldest end."""


def add(connection: Connection, values: LoginRow) -> None:
    """One that waits."""
    connection.execute(insert(logins).values(values))


def count_since(connection: Connection, owner: str, app: str, since: int, email: str | None = None) -> int:
    """Count the sign-ins that an app started since a time, for one address or all."""
    query = select(func.count()).select_from(logins)
    query = query.where(logins.c.owner == owner, logins.c.app == app, logins.c.created_at > since)
    if email is not None:
        query = query.where(logins.c.email == email)
    return connection.execute(query).scalar_one()


def take_try(
    connection: Connection, login_id: str, owner: str, app: str, at: int, max_tries: int
) -> LoginRow | None:
    """Use up one of its tries; None where none is left, or there is no such one."""
    live = (logins.c.id == login_id) & (logins.c.owner == owner) & (logins.c.app == app)
    live &= (logins.c.expires_at > at) & (logins.c.tries < max_tries) & logins.c.code.is_not(None)
    # Counted before the code is compared, so that guesses at the same moment cannot share a try.
    if connection.execute(update(logins).where(live).values(tries=logins.c.tries + 1)).rowcount == 0:
        return None
    return first_row(connection, select(logins).where(logins.c.id == login_id), LoginRow)


def by_link(connection: Connection, link: str, at: int) -> LoginRow | None:
    """Return the sign-in with this link, while it is valid."""
    query = select(logins).where(logins.c.link == link, logins.c.expires_at > at)
    return first_row(connection, query, LoginRow)


def spend(connection: Connection, which: ColumnElement[bool], **values: Any) -> bool:
    """End its code and link, once; of two concurrent calls one gets True."""
    used = update(logins).where(which).values({"code": None, "link": None, "ticket": None} | values)
    return connection.execute(used).rowcount == 1


def by_ticket(connection: Connection, ticket: str, owner: str, app: str, at: int) -> LoginRow | None:
    """Return the sign-in with this ticket, while it is valid."""
    mine = (logins.c.owner == owner) & (logins.c.app == app)
    query = select(logins).where(logins.c.ticket == ticket, mine, logins.c.expires_at > at)
    return first_row(connection, query, LoginRow)


def _of_user(row: LoginSessionRow) -> list[ColumnElement[bool]]:
    return [
        sessions.c.owner == row["owner"],
        sessions.c.app == row["app"],
        sessions.c.email == row["email"],
    ]


def open_session(connection: Connection, values: LoginSessionRow) -> None:
    """A new session."""
    connection.execute(insert(sessions).values(values))
    same = _of_user(values)
    old = select(sessions.c.id).where(*same).order_by(sessions.c.created_at.desc()).offset(MAX_SESSIONS)
    ids = list(connection.execute(old.limit(100)).scalars())
    if ids:
        connection.execute(delete(sessions).where(sessions.c.id.in_(ids)))


def session(connection: Connection, session_id: str, owner: str, app: str, at: int) -> LoginSessionRow | None:
    """A session of an app, while it is good."""
    mine = (sessions.c.id == session_id) & (sessions.c.owner == owner) & (sessions.c.app == app)
    return first_row(connection, select(sessions).where(mine, sessions.c.expires_at > at), LoginSessionRow)


def end(connection: Connection, row: LoginSessionRow, *, all_of_user: bool) -> int:
    """End a session, or all of its user's; how many."""
    if all_of_user:
        which = _of_user(row)
    else:
        which = [sessions.c.id == row["id"]]
    return connection.execute(delete(sessions).where(*which)).rowcount


def purge(connection: Connection, at: int, before: int) -> None:
    """Remove sessions past their time, and sign-ins from before a time: they are counted for so long."""
    connection.execute(delete(sessions).where(sessions.c.expires_at <= at))
    connection.execute(delete(logins).where(logins.c.created_at < before, logins.c.expires_at <= at))
