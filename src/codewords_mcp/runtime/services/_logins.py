"""Sign-in of workflows' own users, by a code or a link that is mailed to them. Each app has its own
users.

Codes and links are short-lived and valid once; only their digests are stored. No response tells
whether an address is known.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode, urlsplit, urlunsplit

from sqlalchemy import Connection

from codewords_mcp.errors import NotFound, TooBusy
from codewords_mcp.runtime.store import logins as rows
from codewords_mcp.runtime.store.clock import now, to_datetime
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.rows import LoginRow, LoginSessionRow
from codewords_mcp.runtime.store.tables import logins as table

CODE_TTL_S = 600
"""Lifetime of a code or link."""
TICKET_TTL_S = 120
"""Time within which the workflow must redeem the ticket that a followed link returned."""
# Of a million codes: five tries find one with a chance of 1 in 200,000.
MAX_TRIES = 5
ADDRESS_WINDOW_S, MAX_PER_ADDRESS = 900, 5
"""Sign-ins for one address within that many seconds."""
APP_WINDOW_S, MAX_PER_APP = 3600, 300
"""Sign-ins of one app within an hour."""
TICKET_PARAMETER = "login_ticket"


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """A sign-in in progress. `login_id` goes to the workflow, `code` and `link` only to the person."""

    login_id: str
    code: str
    link: str | None


@dataclass(frozen=True, slots=True)
class LoginSession:
    """A session of a signed-in user. `token` is set only when the session is opened."""

    email: str
    user_id: str
    expires_at: datetime
    token: str = ""


class LoginService:
    """Sign-ins and sessions, by owner and app."""

    def __init__(self, database: Database, derive: Callable[[str], bytes]) -> None:
        self._db = database
        self._key = derive("user_login")

    async def begin(
        self, owner: str, app: str, email: str, *, title: str, return_url: str, session_seconds: int
    ) -> PendingLogin:
        """Store a sign-in and return its secrets. Raises TooBusy; the limits are the same for every
        address.
        """
        at = now()
        login_id, link = secrets.token_urlsafe(24), secrets.token_urlsafe(32) if return_url else None
        code = f"{secrets.randbelow(10**6):06}"
        row: LoginRow = {
            # Digests only: whoever reads the database cannot sign in with what is there.
            "id": _digest(login_id),
            "owner": owner,
            "app": app,
            "email": email,
            "code": self._code(login_id, code),
            "link": _digest(link) if link else None,
            "ticket": None,
            "title": title,
            "return_url": return_url,
            "session_seconds": session_seconds,
            "tries": 0,
            "created_at": at,
            # The store counts microseconds.
            "expires_at": at + CODE_TTL_S * 1_000_000,
        }

        def write(connection: Connection) -> None:
            # In the transaction that adds the row, so that requests at the same time cannot pass
            # the limit together.
            _check_rate(connection, owner, app, email, at)
            rows.add(connection, row)

        await self._db.write(write)

        return PendingLogin(login_id, code, link)

    async def by_code(self, owner: str, app: str, login_id: str, code: str) -> LoginSession | None:
        """Open the session of a code, once. Returns None for a code that is wrong, used or expired."""
        at, digest = now(), self._code(login_id, code.strip())

        def write(connection: Connection) -> LoginSession | None:
            # A wrong code counts as well: six digits must not be found by trying.
            row = rows.take_try(connection, _digest(login_id), owner, app, at, MAX_TRIES)
            if row is None or not hmac.compare_digest(row["code"] or "", digest):
                return None
            # The same code may come twice at once: one of them gets the session.
            if not rows.spend(connection, (table.c.id == row["id"]) & table.c.code.is_not(None)):
                return None
            return _open(connection, owner, app, row["email"], at, row["session_seconds"])

        return await self._db.write(write)

    async def by_ticket(self, owner: str, app: str, ticket: str) -> LoginSession | None:
        """Open the session of a followed link, once. Returns None for a ticket that is unknown,
        used or expired.
        """
        at, digest = now(), _digest(ticket)

        def write(connection: Connection) -> LoginSession | None:
            row = rows.by_ticket(connection, digest, owner, app, at)
            # The same ticket may come twice at once: one of them gets the session.
            if row is None or not rows.spend(connection, table.c.ticket == digest):
                return None
            return _open(connection, owner, app, row["email"], at, row["session_seconds"])

        return await self._db.write(write)

    async def peek(self, link: str) -> tuple[str, str]:
        """Return (title of the app, masked address) without using the link up. Raises NotFound."""
        # Programs that check mail open its links, so showing a link must not use it up.
        row = await self._db.read(rows.by_link, _digest(link), now())
        if row is None:
            raise _unknown_link()
        # Whoever holds a forwarded mail must not learn more than its owner would recognise.
        name, _, domain = str(row["email"]).rpartition("@")
        return row["title"], f"{name[:1]}…@{domain}"

    async def follow(self, link: str) -> str:
        """Use the link up and return the address to continue at, with a ticket for the workflow.
        Raises NotFound.
        """
        at, digest, ticket = now(), _digest(link), secrets.token_urlsafe(32)

        def write(connection: Connection) -> str | None:
            row = rows.by_link(connection, digest, at)
            until = at + TICKET_TTL_S * 1_000_000
            was_spent = row is not None and rows.spend(
                connection, table.c.link == digest, ticket=_digest(ticket), expires_at=until
            )
            if row is not None and was_spent:
                return row["return_url"]
            return None

        target = await self._db.write(write)
        if target is None:
            raise _unknown_link()

        parts = urlsplit(target)
        # The address may have a query of its own.
        query = "&".join(filter(None, [parts.query, urlencode({TICKET_PARAMETER: ticket})]))
        return urlunsplit(parts._replace(query=query))

    async def session(self, owner: str, app: str, token: str) -> LoginSession | None:
        """Return the session of this token, None if there is none."""
        row = await self._db.read(rows.session, _digest(token), owner, app, now())
        if row is None:
            return None
        return LoginSession(row["email"], _user_id(owner, app, row["email"]), to_datetime(row["expires_at"]))

    async def end(self, owner: str, app: str, token: str, *, everywhere: bool) -> int:
        """Sign out here, or everywhere. Returns the number of sessions ended."""

        def write(connection: Connection) -> int:
            row = rows.session(connection, _digest(token), owner, app, now())
            if row is None:
                return 0
            return rows.end(connection, row, all_of_user=everywhere)

        return await self._db.write(write)

    async def tidy(self) -> None:
        """Delete expired rows."""
        at = now()
        # The limit of an app counts the rows of an hour, so they stay longer than their codes are
        # valid.
        await self._db.write(rows.purge, at, at - APP_WINDOW_S * 1_000_000)

    def _code(self, login_id: str, code: str) -> str:
        """Return a code's digest."""
        # Keyed: a plain digest of six digits could be reversed by trying them all.
        return hmac.new(self._key, f"{login_id} {code}".encode(), hashlib.sha256).hexdigest()


def _open(connection: Connection, owner: str, app: str, email: str, at: int, seconds: int) -> LoginSession:
    token, until = secrets.token_urlsafe(32), at + seconds * 1_000_000
    row: LoginSessionRow = {
        "id": _digest(token), "owner": owner, "app": app, "email": email, "created_at": at, "expires_at": until,
    }  # fmt: skip
    rows.open_session(connection, row)
    return LoginSession(email, _user_id(owner, app, email), to_datetime(until), token)


def _check_rate(connection: Connection, owner: str, app: str, email: str, at: int) -> None:
    if rows.count_since(connection, owner, app, at - ADDRESS_WINDOW_S * 1_000_000, email) >= MAX_PER_ADDRESS:
        raise TooBusy(
            f"{MAX_PER_ADDRESS} codes were sent to this address in the last minutes.",
            retry_after=ADDRESS_WINDOW_S,
            hint="Use the newest one, or wait.",
        )
    if rows.count_since(connection, owner, app, at - APP_WINDOW_S * 1_000_000) >= MAX_PER_APP:
        raise TooBusy(
            f"This app started {MAX_PER_APP} sign-ins within an hour, which is the limit.",
            retry_after=300,
        )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _user_id(owner: str, app: str, email: str) -> str:
    """A user's id: the same each time, another in each app."""
    # Apps must not recognise each other's users.
    return f"usr_{hashlib.sha256(f'{owner}/{app}/{email}'.encode()).hexdigest()[:24]}"


def _unknown_link() -> NotFound:
    return NotFound(
        "This sign-in link was used, or has expired.", hint="Go back to the app and ask for a new one."
    )
