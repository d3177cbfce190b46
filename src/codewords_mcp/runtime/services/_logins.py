"""Sign-in of workflows' own users, by a code or a link that is mailed to them; each app's users are its own.

What is mailed is short-lived, good once, and kept only as a digest. Nothing here tells whether an address is known.
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
from codewords_mcp.runtime.store.tables import logins as table

SECONDS = 600
"""For which a code or link is good."""
TICKET_SECONDS = 120
"""For which the workflow may take what a link gave."""
TRIES = 5
WINDOW, MOST_FOR_ADDRESS = 900, 5
"""Sign-ins for one address within so many seconds."""
HOUR, MOST_FOR_APP = 3600, 300
"""Sign-ins of one app within an hour."""
PARAMETER = "login_ticket"


@dataclass(frozen=True, slots=True)
class LoginBegin:
    """A sign-in that waits. `login_id` is the workflow's; `code` and `link` go to the person only."""

    login_id: str
    code: str
    link: str | None


@dataclass(frozen=True, slots=True)
class LoginSession:
    """A user who is signed in. `token` is only known when the session begins."""

    email: str
    user_id: str
    expires_at: datetime
    token: str = ""


class LoginService:
    """Sign-ins and sessions by (owner, app)."""

    def __init__(self, database: Database, derive: Callable[[str], bytes]) -> None:
        self._db = database
        self._key = derive("user_login")

    async def begin(
        self, owner: str, app: str, email: str, *, title: str, return_url: str, session_seconds: int
    ) -> LoginBegin:
        """Raises TooBusy, the same for every address."""
        at = now()
        login_id, link = secrets.token_urlsafe(24), secrets.token_urlsafe(32) if return_url else None
        code = f"{secrets.randbelow(10**6):06}"
        row = {
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
            "expires_at": at + SECONDS * 1_000_000,
        }

        def write(connection: Connection) -> None:
            _check_rate(connection, owner, app, email, at)
            rows.add(connection, row)

        await self._db.write(write)

        return LoginBegin(login_id, code, link)

    async def by_code(self, owner: str, app: str, login_id: str, code: str) -> LoginSession | None:
        """The session that a code opens, once; None for one that is wrong, spent, or too old."""
        at, given = now(), self._code(login_id, code.strip())

        def write(connection: Connection) -> LoginSession | None:
            row = rows.take_try(connection, _digest(login_id), owner, app, at, TRIES)
            if row is None or not hmac.compare_digest(row["code"], given):
                return None
            if not rows.spend(connection, (table.c.id == row["id"]) & table.c.code.is_not(None)):
                return None
            return _open(connection, owner, app, row["email"], at, row["session_seconds"])

        return await self._db.write(write)

    async def by_ticket(self, owner: str, app: str, ticket: str) -> LoginSession | None:
        """The session that a followed link opens, once."""
        at, digest = now(), _digest(ticket)

        def write(connection: Connection) -> LoginSession | None:
            row = rows.by_ticket(connection, digest, owner, app, at)
            if row is None or not rows.spend(connection, table.c.ticket == digest):
                return None
            return _open(connection, owner, app, row["email"], at, row["session_seconds"])

        return await self._db.write(write)

    async def peek(self, link: str) -> tuple[str, str]:
        """(what is signed in to, the address with most of it hidden). Looking spends nothing. Raises NotFound."""
        row = await self._db.read(lambda c: rows.by_link(c, _digest(link), now()))
        if row is None:
            raise _unknown()
        name, _, domain = str(row["email"]).rpartition("@")
        return row["title"], f"{name[:1]}…@{domain}"

    async def follow(self, link: str) -> str:
        """Spend the link; where the person goes on, with a ticket for the workflow. Raises NotFound."""
        at, digest, ticket = now(), _digest(link), secrets.token_urlsafe(32)

        def write(connection: Connection) -> str | None:
            row = rows.by_link(connection, digest, at)
            until = at + TICKET_SECONDS * 1_000_000
            spent = row is not None and rows.spend(
                connection, table.c.link == digest, ticket=_digest(ticket), expires_at=until
            )
            if row is not None and spent:
                return row["return_url"]
            return None

        target = await self._db.write(write)
        if target is None:
            raise _unknown()

        parts = urlsplit(target)
        query = "&".join(filter(None, [parts.query, urlencode({PARAMETER: ticket})]))
        return urlunsplit(parts._replace(query=query))

    async def session(self, owner: str, app: str, token: str) -> LoginSession | None:
        """Who is signed in with this token."""
        row = await self._db.read(lambda c: rows.session(c, _digest(token), owner, app, now()))
        if row is None:
            return None
        return LoginSession(row["email"], _user_id(owner, app, row["email"]), to_datetime(row["expires_at"]))

    async def end(self, owner: str, app: str, token: str, *, everywhere: bool) -> int:
        """Sign out, here or everywhere; how many sessions ended."""

        def write(connection: Connection) -> int:
            row = rows.session(connection, _digest(token), owner, app, now())
            if row is None:
                return 0
            return rows.end(connection, row, all_of_user=everywhere)

        return await self._db.write(write)

    async def tidy(self) -> None:
        """Remove what is past its time."""
        at = now()
        await self._db.write(rows.purge, at, at - HOUR * 1_000_000)

    def _code(self, login_id: str, code: str) -> str:
        """A code's digest: its digits alone are too few to hide behind a plain one."""
        return hmac.new(self._key, f"{login_id} {code}".encode(), hashlib.sha256).hexdigest()


def _open(connection: Connection, owner: str, app: str, email: str, at: int, seconds: int) -> LoginSession:
    token, until = secrets.token_urlsafe(32), at + seconds * 1_000_000
    row = {
        "id": _digest(token), "owner": owner, "app": app, "email": email, "created_at": at, "expires_at": until,
    }  # fmt: skip
    rows.open_session(connection, row)
    return LoginSession(email, _user_id(owner, app, email), to_datetime(until), token)


def _check_rate(connection: Connection, owner: str, app: str, email: str, at: int) -> None:
    if rows.begun(connection, owner, app, at - WINDOW * 1_000_000, email) >= MOST_FOR_ADDRESS:
        raise TooBusy(
            f"{MOST_FOR_ADDRESS} codes were sent to this address in the last minutes.",
            retry_after=WINDOW,
            hint="Use the newest one, or wait.",
        )
    if rows.begun(connection, owner, app, at - HOUR * 1_000_000) >= MOST_FOR_APP:
        raise TooBusy("Too many people sign in at once.", retry_after=300)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _user_id(owner: str, app: str, email: str) -> str:
    """The same for a user each time, another in each app."""
    return f"usr_{hashlib.sha256(f'{owner}/{app}/{email}'.encode()).hexdigest()[:24]}"


def _unknown() -> NotFound:
    return NotFound(
        "This link was used, or its time is over.", hint="Go back to where you began and ask for a new one."
    )
