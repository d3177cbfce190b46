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
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import (
    NotFound,
)
from codewords_mcp.errors.remedies import SIGN_IN
from codewords_mcp.runtime.auth.api_keys import ApiKeys
from codewords_mcp.runtime.auth.page_access import checked_path, require_person
from codewords_mcp.runtime.auth.session_state import SessionState, split_token
from codewords_mcp.runtime.auth.session_store import (
    SESSION_OWNER,
    SESSIONS,
    SessionStore,
    StoredSession,
    make_room,
    member_of,
)
from codewords_mcp.runtime.auth.wrong_keys import WrongKeys
from codewords_mcp.runtime.model.audit import describe
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.session import PageSession
from codewords_mcp.runtime.store import service_values as values
from codewords_mcp.runtime.store.clock import now, to_datetime
from codewords_mcp.runtime.store.database import Database

SESSION_TTL: Final = 12 * 3600.0
"""Seconds after which a browser has to sign in anew, however much it is used."""
SIGN_IN_TTL: Final = 300.0
"""Seconds that a one-time sign-in address is good for."""
_SIGN_INS, _OPENINGS = "page_sign_ins", "page_openings"
SESSION_SPACE: Final = (SESSION_OWNER, SESSIONS, "member")
"""The place of the sessions among stored values, and the field of their JSON that has the member."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SignIn:
    """The person that a sign-in address signs in, and the path that it leads to."""

    caller: Caller
    path: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that counts: its id, its person with the present rights of their key, and the token that takes the place
    of the one that was sent ("" while that is new enough).
    """

    id: str
    caller: Caller
    renewed: str = ""
    seconds_left: int = 0


@dataclass(frozen=True, slots=True)
class PageOpening:
    """A one-time address of a workflow's own page: the person, the workflow, and the path that it leads to."""

    caller: Caller
    service_id: str
    path: str
    session_id: str | None


class PageSessions:
    """Sessions and sign-in addresses, in the database for all replicas. Only digests are stored.

    A session ends with its time, after two hours without use, with its key, and when its person signs out. `uid` is the
    machine's user of the browser, if the kernel knows it: processes of other users can't use the token. `clock` gives
    the time in µs; `on_change` is called when sessions began or ended here.
    """

    def __init__(self, database: Database, keyring: ApiKeys, clock: Callable[[], int] = now) -> None:
        self._db = database
        self._keyring = keyring
        self._clock = clock
        self._store = SessionStore(database, keyring, clock)
        self._wrong_keys = WrongKeys()
        self.on_change: Callable[[], None] = _ignore_change

    async def create_sign_in(self, caller: Caller, path: str) -> str:
        """Make a one-time sign-in address that leads to `path`, and return its token.

        Raises InvalidInput, Forbidden, InsufficientScope.
        """
        require_person(caller)
        return await self._store_once(_SIGN_INS, caller, {"path": checked_path(path)})

    async def peek_sign_in(self, token: str) -> SignIn:
        """Return the content of a sign-in address, without spending it. Raises NotFound."""
        caller, data = await self._stored_once(_SIGN_INS, token, _no_sign_in)
        return SignIn(caller, data["path"])

    async def redeem_sign_in(
        self, token: str, uid: int | None = None, *, browser: str = ""
    ) -> tuple[str, SignIn]:
        """Spend a sign-in address: the token of a new session, and where it leads. Raises NotFound."""
        found = await self.peek_sign_in(token)
        await self._spend(_SIGN_INS, token, _no_sign_in)
        return await self._begin(found.caller, uid, browser), found

    async def begin(self, key: str, uid: int | None = None, *, address: str = "", browser: str = "") -> str:
        """Start a session for a key, which is not spent, and return its token.

        `address` is the client's. Raises Unauthenticated, Forbidden, InsufficientScope; TooBusy
        after too many wrong keys.
        """
        # Counted before the check, so that many concurrent guesses can't pass the limit
        # together.
        with self._wrong_keys.attempt(address):
            caller = await self._keyring.identify(key)

        require_person(caller)
        return await self._begin(caller, uid, browser)

    async def begin_member(self, caller: Caller, uid: int | None = None, *, browser: str = "") -> str:
        """Start a session for a member whom an invitation or an issuer has named, and return its token. Raises Forbidden."""
        require_person(caller)
        return await self._begin(caller, uid, browser)

    async def find(self, token: str, uid: int | None = None) -> SignedIn | None:
        """Return the session of a token. None if it has ended, or belongs to another user.

        A copy of a token that was replaced ends the session for whoever has it.
        """
        parts = split_token(token)
        if parts is None:
            return None
        session_id, secret = parts
        found, at, renewed = await self._store.read(session_id), self._clock(), ""
        if found is not None and not found.is_fresh and found.state.worth(secret, at) != "present":
            # Another replica may have replaced the secret meanwhile.
            found = await self._store.read(session_id, fresh=True)
        # A cookie goes to every port of a host, so another user's server may have received it.
        if found is None or found.state.uid not in {None, uid}:
            return None

        state = found.state
        match state.worth(secret, at):
            case "present":
                renewed = state.offered(secret, at)
            case "next":
                state.promote(secret, at)
            case "former":
                pass
            case "spent":
                log.warning("a session ended: a copy of its former token was used", owner=state.owner)
                await self._remove(session_id)
                return None
            case "unknown":
                return None

        await self._note_use(found, at)
        left = (found.expires_at - at) // 1_000_000
        return SignedIn(session_id, found.caller, renewed and f"{session_id}.{renewed}", left)

    async def note_use(self, session_id: str) -> None:
        """Count a page that is open as a use of its session."""
        if (found := await self._store.read(session_id)) is not None:
            await self._note_use(found, self._clock())

    async def present(self, session_id: str) -> Caller | None:
        """The person of a session with their present rights; None where it has ended. This is no use of the session."""
        found = await self._store.read(session_id, fresh=True)
        return found and found.caller

    def forget(self) -> None:
        """Read sessions anew at their next use: another process has changed some."""
        self._store.forget()

    async def end(self, token: str) -> None:
        """Sign out."""
        parts = split_token(token)
        found = parts and await self._store.read(parts[0], fresh=True)
        if parts and found and found.state.worth(parts[1], self._clock()) != "unknown":
            describe("session.end", found.caller, parts[0])
            await self._remove(parts[0])

    async def list(self, owner: str, session_id: str = "", *, member: str | None = None) -> list[PageSession]:
        """List the owner's sessions, the newest first, or only those of a member.

        That of `session_id` is marked as `current`.
        """
        at = self._clock()
        rows = await self._db.read(values.live, SESSION_OWNER, SESSIONS, at)
        states = [(row, SessionState.parse(row["value"])) for row in rows]
        found = [
            PageSession(
                id=row["key"],
                key_id=self._keyring.key_id(state.key),
                browser=state.browser,
                began_at=to_datetime(state.began),
                used_at=to_datetime(state.used),
                expires_at=to_datetime(row["expires_at"]),
                workflows=[page.service_id for page in state.pages],
                current=row["key"] == session_id,
                member=state.member or None,
            )
            for row, state in states
            if _is_of(state, owner, member) and not state.is_idle(at)
        ]
        return sorted(found, key=_began, reverse=True)

    async def revoke(self, owner: str, session_id: str, *, member: str | None = None) -> None:
        """End a session of this owner, or of this member only. Raises NotFound."""

        def end(connection: Connection) -> bool:
            row = values.get(connection, SESSION_OWNER, SESSIONS, session_id, at)
            if row is None or not _is_of(SessionState.parse(row["value"]), owner, member):
                return False
            return values.remove(connection, SESSION_OWNER, SESSIONS, session_id, at)

        at = self._clock()
        if not await self._db.write(end):
            raise NotFound("You have no such session.", hint="It may have ended by itself.")
        self._store.forget()
        self.on_change()

    # the workflows' own pages

    async def create_opening(self, caller: Caller, service_id: str, path: str, session_id: str | None) -> str:
        """Make a one-time address of a workflow's own page; its token. Raises Forbidden, InsufficientScope.

        The page belongs to this session and ends with it; without one, redeeming begins a session that opens nothing else.
        """
        require_person(caller)
        more = {"path": path, "service_id": service_id, "session_id": session_id}
        return await self._store_once(_OPENINGS, caller, more)

    async def peek_opening(self, token: str, service_id: str) -> PageOpening:
        """Return the content of such an address, without spending it. Raises NotFound, also for another workflow's."""
        caller, data = await self._stored_once(_OPENINGS, token, _no_opening)
        if data["service_id"] != service_id:
            raise _no_opening()
        return PageOpening(caller, service_id, data["path"], data["session_id"])

    async def redeem_opening(
        self, token: str, service_id: str, uid: int | None = None, *, browser: str = ""
    ) -> tuple[str, PageOpening]:
        """Spend such an address: the token for the workflow's origin, and where it leads. Raises NotFound."""
        opening = await self.peek_opening(token, service_id)
        await self._spend(_OPENINGS, token, _no_opening)
        session_id = opening.session_id
        if session_id is None:
            # Its token is given to nobody.
            session_id = (await self._begin(opening.caller, uid, browser)).partition(".")[0]

        # Another request may note the session's use at the same moment.
        while (found := await self._store.read(session_id, fresh=True)) is not None:
            secret = found.state.open_page(service_id, self._clock())
            if await self._store.swap(found):
                self.on_change()
                return f"{session_id}.{secret}", opening

        raise _no_opening()

    async def find_page(self, token: str, service_id: str, uid: int | None = None) -> SignedIn | None:
        """The session by which a browser uses a workflow's own page; None if it has ended or is for another workflow."""
        parts = split_token(token)
        found = parts and await self._store.read(parts[0])
        if parts and found and not found.is_fresh and found.state.page_of(service_id, parts[1]) is None:
            # It may have been opened a moment ago.
            found = await self._store.read(parts[0], fresh=True)
        # A session that began as a user of this machine is good for that user's processes only.
        if not parts or not found or found.state.uid not in {None, uid}:
            return None

        page, at = found.state.page_of(service_id, parts[1]), self._clock()
        if page is None:
            return None
        if found.state.is_use_news(at):
            page.used = at
        await self._note_use(found, at)
        return SignedIn(parts[0], found.caller)

    # what is stored

    async def _begin(self, caller: Caller, uid: int | None, browser: str) -> str:
        at, session_id = self._clock(), secrets.token_hex(8)
        describe("session.begin", caller, session_id)
        reference = self._keyring.reference(caller)
        state, secret = SessionState.begin(
            reference, caller.owner, member=member_of(caller), uid=uid, browser=browser, at=at
        )

        def put(connection: Connection) -> None:
            make_room(connection, SESSIONS, caller, at)
            values.put(
                connection, SESSION_OWNER, SESSIONS, session_id, state.text(), at + int(SESSION_TTL * 1e6)
            )

        await self._db.write(put)
        # It may have made room for itself.
        self._store.forget()
        self.on_change()
        return f"{session_id}.{secret}"

    async def _note_use(self, found: StoredSession, at: int) -> None:
        """Write what has changed. A request that loses against another one leaves it to that or the next."""
        if found.state.is_use_news(at):
            found.state.used = at
        await self._store.swap(found)

    async def _remove(self, session_id: str) -> None:
        await self._store.remove(session_id)
        self.on_change()

    async def _store_once(self, space: str, caller: Caller, more: dict[str, str | None]) -> str:
        token, at = secrets.token_urlsafe(32), self._clock()
        named = {"key": self._keyring.reference(caller), "owner": caller.owner, "member": member_of(caller)}
        data = json.dumps({**named, **more})

        def put(connection: Connection) -> None:
            make_room(connection, space, caller, at)
            values.put(connection, SESSION_OWNER, space, _digest(token), data, at + int(SIGN_IN_TTL * 1e6))

        await self._db.write(put)
        return token

    async def _stored_once(
        self, space: str, token: str, missing: Callable[[], NotFound]
    ) -> tuple[Caller, dict[str, Any]]:
        # A token of another form can't exist, and costs no query.
        if not _TOKEN.fullmatch(token):
            raise missing()
        row = await self._db.read(values.get, SESSION_OWNER, space, _digest(token), self._clock())
        if row is None:
            raise missing()
        data: dict[str, Any] = json.loads(row["value"])
        caller = await self._keyring.holder(data["key"], data["owner"])
        if caller is None:
            raise missing()
        return caller, data

    async def _spend(self, space: str, token: str, missing: Callable[[], NotFound]) -> None:
        # Removing decides: of two browsers with the same address one gets it.
        if not await self._db.write(values.remove, SESSION_OWNER, space, _digest(token), self._clock()):
            raise missing()


def _ignore_change() -> None:
    """Nobody listens."""


def _is_of(state: SessionState, owner: str, member: str | None) -> bool:
    return state.owner == owner and member in {None, state.member}


def _began(session: PageSession) -> datetime:
    return session.began_at


def _no_sign_in() -> NotFound:
    return NotFound(
        "This sign-in address is not valid: it was used, or is over five minutes old.",
        remedy=SIGN_IN,
    )


def _no_opening() -> NotFound:
    return NotFound(
        "This address of a workflow's page is not valid: it was used, or is over five minutes old.",
        hint="Open the page anew, from the console or the terminal.",
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
