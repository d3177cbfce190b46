"""Sends messages that wait in the store, so that a crash loses none: the one loop of alerts and of questions.

Each is sent at least once: one whose process dies while it sends is sent again, with the same id.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Generic, TypeVar

from sqlalchemy import Connection

from codewords_mcp.runtime.runs.poll_loop import PollLoop
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

POLL_INTERVAL, SHARED_POLL_INTERVAL = 30.0, 3.0
AT_ONCE = 100
"""Messages that are taken at once."""
SEND_TIMEOUT, LEASE = 20.0, 30.0
"""Seconds that one send may take; seconds for which messages that are being sent are nobody else's."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0
"""Seconds before the second try, doubled before each further one."""
TRIES = 16
"""Tries over some seven hours, after which a message is dropped."""
CLOCK_BACK = 5.0
M = TypeVar("M")


class MessageLoop(PollLoop, Generic[M]):
    """Takes the messages that are due, and sends them."""

    def __init__(self, failing: str, database: Database, first_pause: float) -> None:
        super().__init__(failing, 5.0)
        self._db = database
        self._first_pause = first_pause
        self._ahead: float | None = None
        """By how much the clock is ahead of the monotonic one, at the last look; None before the first."""

    @abstractmethod
    def take(self, connection: Connection, at: int, until: int, limit: int) -> list[M]:
        """Claim due messages until a time, after which another process may send those of a dead one."""

    @abstractmethod
    def next_due(self, connection: Connection) -> int | None:
        """The time of the next message, in µs."""

    @abstractmethod
    def make_due(self, connection: Connection, at: int) -> None:
        """Send everything that waits now."""

    @abstractmethod
    async def send_all(self, messages: list[M]) -> None:
        """Send messages, and note what came of each."""

    async def poll(self) -> float:
        """See `PollLoop`."""
        ahead, self._ahead = self._ahead, time.time() - time.monotonic()
        if ahead is not None and self._ahead < ahead - CLOCK_BACK:
            # Times to come may be far since the clock was set back.
            await self._db.write(self.make_due, now())

        # Only what is due is claimed: a look that finds nothing costs the writer nothing.
        while (due := await self._db.read(self.next_due)) is not None and due <= now():
            messages = await self._db.write(self._take)
            if not messages:
                break
            await self.send_all(messages)

        longest = SHARED_POLL_INTERVAL if self._db.shared else POLL_INTERVAL
        if due is None:
            return longest
        # A message that another replica is claiming is due still, and must not make this loop spin.
        return max(0.05, min((due - now()) / 1e6, longest))

    def _take(self, connection: Connection) -> list[M]:
        at = now()
        return self.take(connection, at, at + int(LEASE * 1e6), AT_ONCE)

    def next_try(self, tries: int) -> int | None:
        """The time in µs of the try after this many; None after the last one."""
        if tries >= TRIES:
            return None
        pause = min(self._first_pause * 2 ** (tries - 1), LONGEST_PAUSE)
        return now() + int(pause * 1e6)
