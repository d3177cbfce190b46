"""Sessions as the database has them, each remembered for a second: a page asks for many things at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from codewords_mcp.runtime.auth.api_keys import ApiKeys
from codewords_mcp.runtime.auth.session_state import SessionState
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.store import service_values as values
from codewords_mcp.runtime.store.database import Database

SESSION_OWNER: Final = ""
"""Of the rows: no key's owner has this name."""
SESSIONS: Final = "browser_sessions"
REMEMBERED: Final = 1.0
"""Seconds for which a session counts as it was read, unless a change is known."""
MAX_REMEMBERED: Final = 1000
MAX_SESSIONS: Final = 1000
MAX_PER_OWNER: Final = 50
"""Maximum of sessions, and of sign-in addresses, of one owner: beyond it the oldest one ends."""


@dataclass(slots=True)
class StoredSession:
    """A session that was read, with the present rights of its key. `text` is what is stored.

    `read_at` is in µs; `is_fresh`: it was read for whoever has it.
    """

    id: str
    state: SessionState
    text: str
    expires_at: int
    caller: Caller
    read_at: int
    is_fresh: bool = True


class SessionStore:
    """Reads and writes sessions. `clock` gives the time in µs."""

    def __init__(self, database: Database, keyring: ApiKeys, clock: Callable[[], int]) -> None:
        self._db = database
        self._keyring = keyring
        self._clock = clock
        self._remembered: dict[str, StoredSession] = {}
        self._changes = (0, 0)

    def forget(self) -> None:
        """Read all anew: any may have changed."""
        self._changes = (self._changes[0] + 1, self._keyring.changes)
        self._remembered.clear()

    async def read(self, session_id: str, *, fresh: bool = False) -> StoredSession | None:
        """A session that goes on; None where it ended. Unless `fresh`, it may be as it was a second ago."""
        if self._changes[1] != self._keyring.changes:
            self.forget()
        at = self._clock()
        known = None if fresh else self._remembered.get(session_id)
        if known is None or not 0 <= at - known.read_at < REMEMBERED * 1e6 or known.expires_at <= at:
            return await self._read(session_id, at)

        # Anew, since whoever gets it changes it.
        state = SessionState.parse(known.text)
        return StoredSession(
            session_id, state, known.text, known.expires_at, known.caller, known.read_at, is_fresh=False
        )

    async def _read(self, session_id: str, at: int) -> StoredSession | None:
        changes = self._changes
        self._remembered.pop(session_id, None)
        row = await self._db.read(values.get, SESSION_OWNER, SESSIONS, session_id, at)
        if row is None:
            return None
        state = SessionState.parse(row["value"])
        if state.is_idle(at):
            return None
        # The key's present rights: a revoked key ends its sessions at the next request.
        caller = await self._keyring.holder(state.key, state.owner)
        if caller is None:  # the key was revoked, has expired or is not the home's any more
            return None

        found = StoredSession(session_id, state, row["value"], row["expires_at"], caller, at)
        # What was read before a change is not kept.
        if changes == (self._changes[0], self._keyring.changes):
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[session_id] = found
        return found

    async def swap(self, found: StoredSession) -> bool:
        """Write what was changed of a session's state, over what was read only; whether that was there still."""
        text = found.state.text()
        if text == found.text:
            return True
        # A session that ended meanwhile does not come back.
        self._remembered.pop(found.id, None)
        done = await self._db.write(values.replace, SESSION_OWNER, SESSIONS, found.id, found.text, text)
        self._remembered.pop(found.id, None)
        return done

    async def remove(self, session_id: str) -> None:
        """End a session."""
        await self._db.write(values.remove, SESSION_OWNER, SESSIONS, session_id, self._clock())
        self.forget()


def make_room(connection: Connection, space: str, caller: Caller, at: int) -> None:
    """End the oldest beyond `MAX_PER_OWNER` of an owner or member, and beyond `MAX_SESSIONS` the oldest of who has most.

    No session is refused: else a holder of a key could keep all others from signing in.
    """
    by_owner: dict[tuple[str, str], list[str]] = {}
    for row in values.live(connection, SESSION_OWNER, space, at):
        stored = json.loads(row["value"])
        by_owner.setdefault((stored["owner"], stored.get("member", "")), []).append(row["key"])
    own = by_owner.get((caller.owner, member_of(caller)), [])

    surplus = own[: max(0, len(own) - MAX_PER_OWNER + 1)]
    if not surplus and sum(map(len, by_owner.values())) >= MAX_SESSIONS:
        surplus = max(by_owner.values(), key=len)[:1]
    for key in surplus:
        values.remove(connection, SESSION_OWNER, space, key, at)


def member_of(caller: Caller) -> str:
    """The id of the member who calls, "" for a caller who is none."""
    return "" if caller.member is None else caller.member.id
