"""Sessions of people in a browser, needed by pages where a person agrees, types or connects.

A session starts with a one-time sign-in address, which is passed only to a person's own browser or
terminal, or with a key that is typed on the page. The address that an assistant passes on leads to
the page without signing in.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from codewords_mcp.errors import (
    Forbidden,
    InsufficientScope,
    InvalidInput,
    NotFound,
)
from codewords_mcp.errors.remedies import CREATE_KEY, SIGN_IN
from codewords_mcp.runtime.auth.api_keys import ApiKeys
from codewords_mcp.runtime.auth.wrong_keys import WrongKeys
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.session import PageSession
from codewords_mcp.runtime.store import service_values as values
from codewords_mcp.runtime.store.clock import now, to_datetime
from codewords_mcp.runtime.store.database import Database

SESSION_TTL: Final = 12 * 3600.0
"""Seconds that a browser stays signed in."""
SIGN_IN_TTL: Final = 300.0
"""Seconds that a one-time sign-in address is good for."""
MAX_SESSIONS: Final = 1000
MAX_PER_OWNER: Final = 50
"""Maximum of sessions, and of sign-in addresses, of one owner: beyond it the oldest one ends."""
_ID: Final = 16
"""Characters of a session's digest that name it in a list."""
_OWNER: Final = ""
"""Of the rows: no key's owner has this name."""
_SESSIONS, _SIGN_INS = "page_sessions", "page_sign_ins"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_PATH = re.compile(r"/(?![/\\])[A-Za-z0-9/_.~-]{0,300}")


@dataclass(frozen=True, slots=True)
class SignIn:
    """The person that a sign-in address signs in, and the path that it leads to."""

    caller: Caller
    path: str


@dataclass(frozen=True, slots=True)
class _Stored:
    """A stored session.

    `uid` is the user of this machine whose browser it belongs to, None if unknown.
    """

    sign_in: SignIn
    uid: int | None


class PageSessions:
    """Sessions and sign-in addresses, in the database for all replicas. Only digests are stored.

    A session ends with its time, with its key, and when its person signs out. `uid` is the
    machine's user of the browser, if the kernel knows it: processes of other users can't use the
    token.
    """

    def __init__(self, database: Database, keyring: ApiKeys) -> None:
        self._db = database
        self._keyring = keyring
        self._wrong_keys = WrongKeys()

    async def create_sign_in(self, caller: Caller, path: str) -> str:
        """Make a one-time sign-in address that leads to `path`, and return its token.

        Raises InvalidInput, Forbidden, InsufficientScope.
        """
        require_person(caller)
        return await self._store(_SIGN_INS, caller, SIGN_IN_TTL, checked_path(path))

    async def peek_sign_in(self, token: str) -> SignIn:
        """Return the content of a sign-in address, without spending it. Raises NotFound."""
        found = await self._find(_SIGN_INS, token)
        if found is None:
            raise _no_sign_in()
        return found.sign_in

    async def redeem_sign_in(self, token: str, uid: int | None = None) -> tuple[str, SignIn]:
        """Spend a sign-in address: the token of a new session, and where it leads. Raises NotFound."""
        found = await self.peek_sign_in(token)
        # Removing decides: of two browsers with the same address one signs in.
        if not await self._remove(_SIGN_INS, token):
            raise _no_sign_in()
        return await self._store(_SESSIONS, found.caller, SESSION_TTL, uid=uid), found

    async def begin(self, key: str, uid: int | None = None, *, address: str = "") -> str:
        """Start a session for a key, which is not spent, and return its token.

        `address` is the client's. Raises Unauthenticated, Forbidden, InsufficientScope; TooBusy
        after too many wrong keys.
        """
        # Counted before the check, so that many concurrent guesses can't pass the limit
        # together.
        with self._wrong_keys.attempt(address):
            caller = await self._keyring.identify(key)

        require_person(caller)
        return await self._store(_SESSIONS, caller, SESSION_TTL, uid=uid)

    async def find(self, token: str, uid: int | None = None) -> Caller | None:
        """Return the person of a session, with the present rights of their key.

        None if the session has ended, or belongs to another user.
        """
        found = await self._find(_SESSIONS, token)
        # A cookie goes to every port of a host, so another user's server may have received it.
        if found is None or found.uid not in {None, uid}:
            return None
        return found.sign_in.caller

    async def end(self, token: str) -> None:
        """Sign out."""
        await self._remove(_SESSIONS, token)

    async def list(self, owner: str, token: str = "") -> list[PageSession]:
        """List the owner's sessions, the newest first. That of `token` is marked as `current`."""
        rows = await self._db.read(values.live, _OWNER, _SESSIONS, now())
        found = [
            PageSession(
                id=row["key"][:_ID],
                key_id=self._keyring.key_id(data["key"]),
                began_at=to_datetime(row["expires_at"] - int(SESSION_TTL * 1e6)),
                expires_at=to_datetime(row["expires_at"]),
                current=row["key"] == _digest(token),
            )
            for row in rows
            if (data := json.loads(row["value"]))["owner"] == owner
        ]
        return sorted(found, key=_began, reverse=True)

    async def revoke(self, owner: str, session_id: str) -> None:
        """End a session of this owner. Raises NotFound."""

        def end(connection: Connection) -> bool:
            at = now()
            for row in values.live(connection, _OWNER, _SESSIONS, at):
                if row["key"][:_ID] == session_id and json.loads(row["value"])["owner"] == owner:
                    return values.remove(connection, _OWNER, _SESSIONS, row["key"], at)
            return False

        if not await self._db.write(end):
            raise NotFound("You have no such session.", hint="It may have ended by itself.")

    async def _store(
        self, space: str, caller: Caller, ttl: float, path: str = "/", uid: int | None = None
    ) -> str:
        token = secrets.token_urlsafe(32)
        plain = {"key": self._keyring.reference(caller), "owner": caller.owner, "path": path, "uid": uid}
        data = json.dumps(plain)

        def put(connection: Connection) -> None:
            at = now()
            _make_room(connection, space, caller.owner, at)
            values.put(connection, _OWNER, space, _digest(token), data, at + int(ttl * 1e6))

        await self._db.write(put)

        return token

    async def _find(self, space: str, token: str) -> _Stored | None:
        # A token of another form can't exist, and costs no query.
        if not _TOKEN.fullmatch(token):
            return None
        row = await self._db.read(values.get, _OWNER, space, _digest(token), now())
        if row is None:
            return None
        data = json.loads(row["value"])
        # The key's present rights: a revoked key ends its sessions at the next request.
        caller = await self._keyring.holder(data["key"], data["owner"])
        if caller is None:  # the key was revoked, has expired or is not the home's any more
            return None
        return _Stored(SignIn(caller, data["path"]), data.get("uid"))

    async def _remove(self, space: str, token: str) -> bool:
        return await self._db.write(values.remove, _OWNER, space, _digest(token), now())


def _make_room(connection: Connection, space: str, owner: str, at: int) -> None:
    """End the owner's oldest beyond `MAX_PER_OWNER`, and beyond `MAX_SESSIONS` the largest owner's
    oldest.

    No session is refused: else a holder of a key could keep all others from signing in.
    """
    by_owner: dict[str, list[str]] = {}
    for row in values.live(connection, _OWNER, space, at):
        by_owner.setdefault(json.loads(row["value"])["owner"], []).append(row["key"])
    own = by_owner.get(owner, [])

    surplus = own[: max(0, len(own) - MAX_PER_OWNER + 1)]
    if not surplus and sum(map(len, by_owner.values())) >= MAX_SESSIONS:
        surplus = max(by_owner.values(), key=len)[:1]
    for key in surplus:
        values.remove(connection, _OWNER, space, key, at)


def require_person(caller: Caller) -> None:
    """Raise Forbidden or InsufficientScope for a caller whose key does not answer for a person."""
    if caller.kind == "run" or caller.by_token:
        raise Forbidden("Only a person's API key signs in to the pages.", remedy=CREATE_KEY)
    # A session would give the whole API to a key that was restricted to some of MCP.
    if caller.toolsets is not None:
        raise Forbidden(
            "A key for some toolsets does not sign in to the pages.", hint="Use a key without --toolsets."
        )
    if not caller.can("write"):
        raise InsufficientScope("write", by_token=False)


def checked_path(path: str) -> str:
    """Return a path of this runtime, without a query. Raises InvalidInput for any other address."""
    # No second slash at the start, which a browser would take for another host.
    if not _PATH.fullmatch(path) or ".." in path:
        raise InvalidInput("A sign-in leads to a path of this runtime only, such as /consents/….")
    return path


def _began(session: PageSession) -> datetime:
    return session.began_at


def _no_sign_in() -> NotFound:
    return NotFound(
        "This sign-in address is not valid: it was used, or is over five minutes old.",
        remedy=SIGN_IN,
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
