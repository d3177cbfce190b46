"""Limits on open sessions of one key, one owner and the home, and the choice of a session to end.

A session costs memory until it ends or has been idle for half an hour, and clients forget to end
them. If new sessions were refused, one forgetful client could lock out all others. Instead the
longest idle session ends: of the same key, the same owner, or the owner with the most sessions.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import structlog

from codewords_mcp.errors import TooBusy

PER_KEY, PER_OWNER, PER_HOME = 200, 400, 1_000
RETRY_AFTER = 10
log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class McpSession:
    """An open session. `calls` are in flight; `streams` listen for messages of the server."""

    owner: str
    key: str
    end: Callable[[], None]
    last_used: float = field(default_factory=time.monotonic)
    calls: int = 0
    streams: int = 0

    def begin_call(self) -> None:
        """Count a request in flight: its session is not ended to make room for others."""
        self.calls += 1

    def end_call(self) -> None:
        """Count the request as finished."""
        self.calls -= 1
        self.last_used = time.monotonic()


class SessionShares:
    """The open sessions of one home."""

    def __init__(self, per_key: int = PER_KEY, per_owner: int = PER_OWNER, per_home: int = PER_HOME) -> None:
        self._per_key = per_key
        self._per_owner = per_owner
        self._per_home = per_home
        self._open: dict[int, McpSession] = {}
        self._numbers = itertools.count()
        self._number_of: dict[McpSession, int] = {}

    def __len__(self) -> int:
        """Count the open sessions."""
        return len(self._open)

    def open(self, owner: str, key: str, end: Callable[[], None]) -> McpSession:
        """Count a new session, ending another if its key, its owner or the home has its share.

        `end` is called at most once, if this session must end for another. Raises TooBusy if every
        session that could end has a call in flight.
        """
        # From the narrowest share to the widest, so that a flood ends its own sessions first.
        self._make_room(self._per_key, partial(self._of, key=key))
        self._make_room(self._per_owner, partial(self._of, owner=owner))

        if len(self._open) >= self._per_home:
            # The owner with the most sessions pays, not the one whose session was idle the
            # longest.
            largest = Counter(session.owner for session in self._open.values()).most_common(1)[0][0]
            self._make_room(self._per_home, self._open.values, among=self._of(owner=largest))

        session = McpSession(owner, key, end)
        number = next(self._numbers)
        self._open[number], self._number_of[session] = session, number

        return session

    def close(self, session: McpSession) -> None:
        """Count it no more. Idempotent."""
        number = self._number_of.pop(session, None)
        if number is not None:
            del self._open[number]

    def _of(self, *, key: str | None = None, owner: str | None = None) -> list[McpSession]:
        return [
            session
            for session in self._open.values()
            if (key is None or session.key == key) and (owner is None or session.owner == owner)
        ]

    def _make_room(
        self,
        limit: int,
        members: Callable[[], Iterable[McpSession]],
        among: list[McpSession] | None = None,
    ) -> None:
        held = list(members())
        if len(held) < limit:
            return

        idle = [session for session in (held if among is None else among) if not session.calls]
        if not idle:
            raise TooBusy(
                f"{len(held)} MCP sessions are open, and each has a call in flight.",
                retry_after=RETRY_AFTER,
                hint="End sessions that are not needed (DELETE with their Mcp-Session-Id), or use one for several calls.",
            )

        # A session with an open stream counts as used, although it makes no calls.
        longest = min(idle, key=lambda session: (session.streams > 0, session.last_used))
        # Not counted before `end` runs, which takes time and may open others.
        self.close(longest)
        log.info("session ended to make room", owner=longest.owner, open=len(held))
        longest.end()
