"""Pairing of owners' own Chromes: by a one-time page, identified by a token's hash, connected to
one process at a time.

Each owner has at most one. The last one paired, or connected with the same token, replaces the
other, which is notified.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

import structlog
from sqlalchemy import Connection

from codewords_mcp import __version__
from codewords_mcp.errors import CodewordsError, NotConnected, NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.auth.key_format import hash_key
from codewords_mcp.runtime.auth.one_time_links import Links, require_own
from codewords_mcp.runtime.browser.base import BrowserStatus
from codewords_mcp.runtime.browser.own.connection import (
    GOING,
    MALFORMED,
    OTHER_VERSION,
    PING_SECONDS,
    REPLACED,
    REVOKED,
    ChromeConnection,
    ChromeConnectionLost,
    MessageChannel,
    hello,
)
from codewords_mcp.runtime.model.browser import OwnChrome
from codewords_mcp.runtime.store import browsers as rows
from codewords_mcp.runtime.store import executors
from codewords_mcp.runtime.store.clock import now, to_datetime
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.rows import BrowserChange, BrowserRow

SPOKEN: Final = 1
"""Version of the messages."""
COMING_BACK: Final = 35.0
"""Seconds after the runtime's start in which a paired Chrome is awaited: its alarm wakes it every
30."""
_PAIRED = "paired"
_PAIR: Final = Remedy(RemedyAction.PAIR_BROWSER)
_OPEN_IT = "Open it: the extension connects by itself within half a minute."
log = structlog.get_logger(__name__)


class Acting(Protocol):
    """A session in a Chrome, as shown to its person."""

    title: str

    def left(self, why: str) -> None:
        """End the session: its person has ended it."""
        ...


@dataclass(eq=False, slots=True)
class ConnectedChrome:
    """A Chrome that is connected to this process, and its sessions by id."""

    owner: str
    digest: str
    paired_at: datetime
    connection: ChromeConnection
    sessions: dict[str, Acting] = field(default_factory=dict[str, Acting])

    def left(self, session: str, why: str) -> None:
        """End a session that its person has ended."""
        if acting := self.sessions.get(session):
            acting.left(why)


class PairedBrowsers:
    """The paired browsers of one process; the rest is in the database."""

    def __init__(self, database: Database, links: Links, *, home: str, executor: str, ttl: float) -> None:
        self._db = database
        self._links = links
        self._home = home
        self._executor = executor
        self._ttl = ttl
        self._connected: dict[str, ConnectedChrome] = {}
        self._news = asyncio.Event()
        self._began = time.monotonic()

    async def invite(self, owner: str) -> str:
        """Return the token of a page on which a person pairs a Chrome, once, within 10 minutes."""
        return await self._links.ensure(owner, "browser", {})

    async def paired_by(self, owner: str, token: str) -> bool:
        """Whether the page of this token has done its work. Raises NotFound where there is no such page, Forbidden where it is
        another owner's.
        """
        link = await self._links.find(token)
        require_own(link, owner)
        if link is None:
            raise NotFound("This page has expired.", remedy=_PAIR)
        return link.answer == _PAIRED

    async def forget(self, owner: str) -> bool:
        """Revoke the token. Returns whether there was one."""
        there_was = await self._db.write(rows.forget, owner)
        await self._hang_up(owner, REVOKED)
        return there_was

    def find(self, owner: str) -> ConnectedChrome | None:
        """Return the owner's Chrome if it is connected to this process."""
        return self._connected.get(owner)

    async def reach(self, owner: str) -> ConnectedChrome:
        """Return the owner's Chrome, awaited if it is expected to reconnect. Raises NotConnected."""
        with suppress(TimeoutError):
            # Right after the runtime's start a paired Chrome is expected back.
            async with asyncio.timeout(self._reconnect_timeout):
                while owner not in self._connected and await self._db.read(rows.get, owner):
                    await self._news.wait()
        if found := self._connected.get(owner):
            return found
        status = await self.status(owner)
        raise NotConnected(status.sentence, hint=status.fix, remedy=status.remedy)

    async def status(self, owner: str) -> BrowserStatus:
        """Return the availability of the owner's Chrome. Right after the start of the runtime a paired one counts as
        ready, since `reach` waits for it. Never raises.
        """
        if owner in self._connected:
            return BrowserStatus(ready=True, sentence="Your Chrome is connected.")

        try:
            row, elsewhere = await self._db.read(self._read_pairing, owner)
        except CodewordsError as error:
            return BrowserStatus(ready=False, sentence=error.message, fix=error.hint, remedy=error.remedy)

        if row is None:
            return BrowserStatus(
                ready=False, sentence="No Chrome of yours is paired.", fix=_PAIR.words, remedy=_PAIR
            )
        if elsewhere:
            return BrowserStatus(
                ready=False,
                sentence="Your Chrome is connected to another runtime on this database, and steps do not go from one to the"
                " other.",
                fix=f"Run the workflow at {row['url']}, or pair the Chrome with this runtime.",
            )

        back = self._reconnect_timeout > 0
        return BrowserStatus(
            ready=back, sentence="Your Chrome is paired, and not connected now.", fix=_OPEN_IT
        )

    def _read_pairing(self, connection: Connection, owner: str) -> tuple[BrowserRow | None, bool]:
        """(the owner's, whether it is connected to another process that lives)."""
        row = rows.get(connection, owner)
        if row is None or not self._db.shared or row["executor"] == self._executor:
            return row, False
        # One that is dead has let go of it, whatever its row says.
        return row, row["executor"] in executors.alive(connection, self._ttl)

    async def info(self, owner: str, url: str) -> OwnChrome:
        """Return the status for a person; `url` is that of this runtime. Raises StorageFailed."""
        row = await self._db.read(rows.get, owner)
        found = self._connected.get(owner)
        status = await self.status(owner)
        if row is None:
            return OwnChrome(
                paired=False, connected=False, sentence=status.sentence, fix=status.fix, remedy=status.remedy
            )

        fix = "" if found else status.fix
        remedy = None if found else status.remedy
        if found and row["version"] != __version__:
            remedy = _PAIR
            fix = f"Its extension is {row['version']}, this runtime {__version__}. {_PAIR.words}"
        elif not found and self._moved(row, url):
            fix = f"It looks for its runtime at {row['url']}, and this one is at {url}: pair it again, or serve at that address."

        return OwnChrome(
            paired=True, connected=found is not None, sentence=status.sentence, fix=fix, remedy=remedy, browser=row["name"],
            extension=row["version"], address=row["url"], paired_at=to_datetime(row["paired_at"]),
            seen_at=to_datetime(row["seen_at"]),
            acting=sorted(session.title for session in found.sessions.values()) if found else [],
        )  # fmt: skip

    def _moved(self, row: BrowserRow, url: str) -> bool:
        # The host may be written in several ways; another port is another runtime.
        return not self._db.shared and row["url"].rpartition(":")[2] != url.rpartition(":")[2]

    async def wait(self, owner: str, seconds: float, after: datetime | None) -> None:
        """Wait until the owner's Chrome is connected, or for these seconds. `after`: only one
        paired later.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (
                    (found := self._connected.get(owner)) and (after is None or found.paired_at > after)
                ):
                    await self._news.wait()

    @property
    def _reconnect_timeout(self) -> float:
        return max(0.0, self._began + COMING_BACK - time.monotonic())

    async def serve(self, pipe: MessageChannel) -> None:
        """Serve a connection, from its first message to its end."""
        greeting = await hello(pipe)
        if greeting is None or not isinstance(greeting.get("hello"), int):
            await pipe.close(MALFORMED)
            return
        if greeting["hello"] != SPOKEN:
            await pipe.close(OTHER_VERSION)
            return

        connection = ChromeConnection(pipe)
        proven = await self._proven(greeting, pipe.origin)
        if proven is None:
            await connection.close(REVOKED)
            return

        owner, token, paired_at = proven
        me = ConnectedChrome(owner, hash_key(token), to_datetime(paired_at), connection)
        connection.on_gone = me.left
        # The last one counts: a Chrome that restarted must not wait for its old connection's end.
        await self._hang_up(owner, REPLACED)
        self._connected[owner] = me
        ping_task = asyncio.create_task(self._keep(me))

        try:
            news = {"welcome": self._home} | ({"token": token} if "pair" in greeting else {})
            connection.tell(**news)
            self._tell()
            if await connection.listen():
                await self._db.write(rows.forget, owner)
        finally:
            ping_task.cancel()
            # Another connection may have replaced it, perhaps with the same token.
            if self._connected.get(owner) is me:
                del self._connected[owner]
                self._db.write_soon(partial(rows.left, digest=me.digest, executor=self._executor, at=now()))

            await connection.close(GOING)
            self._tell()

    async def _proven(self, greeting: dict[str, Any], url: str) -> tuple[str, str, int] | None:
        """Return (owner, token, time of pairing), None if the proof is invalid."""
        # Shown to a person: no control characters, no endless text.
        name = "".join(c for c in str(greeting.get("browser", "")) if c.isprintable())[:120] or "Chrome"
        known: BrowserChange = {
            "name": name,
            "version": str(greeting.get("version", ""))[:32],
            "url": url[:300],
            "seen_at": now(),
            "executor": self._executor,
        }
        if isinstance(code := greeting.get("pair"), str):
            return await self._pair(code, known)

        # Only the hash is stored: the database gives nobody a Chrome.
        token = str(greeting.get("token", ""))
        digest = hash_key(token)

        def take(connection: Connection) -> BrowserRow | None:
            row = rows.by_hash(connection, digest)
            if row is not None:
                rows.seen(connection, digest, known)
            return row

        row = await self._db.write(take)
        if row is None:
            return None

        return (row["owner"], token, row["paired_at"])

    async def _pair(self, code: str, known: BrowserChange) -> tuple[str, str, int] | None:
        link = await self._links.find(code)
        # The link works once: two Chromes that follow it at the same time are one too many.
        if link is None or link.answer is not None or not await self._links.answer(code, _PAIRED):
            return None
        token, at = f"cwb-{secrets.token_hex(32)}", now()
        values: BrowserRow = {**known, "owner": link.owner, "hash": hash_key(token), "paired_at": at}
        await self._db.write(rows.pair, values)
        return link.owner, token, at

    async def _keep(self, me: ConnectedChrome) -> None:
        """Ping the Chrome, and check that no other runtime has replaced it."""
        while True:
            await asyncio.sleep(PING_SECONDS)
            try:
                await me.connection.ping()
                row = await self._db.read(rows.get, me.owner)
            except ChromeConnectionLost:
                log.info("own Chrome not responding", owner=me.owner)
                await me.connection.close(GOING)
                return
            except CodewordsError:
                # The database is away; asked again with the next ping.
                continue

            if row is None or row["hash"] != me.digest or row["executor"] != self._executor:
                await me.connection.close(REVOKED if row is None else REPLACED)
                return

    async def _hang_up(self, owner: str, code: int) -> None:
        if before := self._connected.pop(owner, None):
            await before.connection.close(code)

    def _tell(self) -> None:
        self._news.set()
        # A new event: those that wait on the old one are all woken.
        self._news = asyncio.Event()

    async def close(self) -> None:
        """Close all connections."""
        for owner in list(self._connected):
            await self._hang_up(owner, GOING)
