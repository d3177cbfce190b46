"""Sends sealed entries of the audit trail on to a receiver: each at least once, in the order of the chain.

A cursor in the database says how far a receiver is. It moves when the receiver has taken a batch, so that a batch whose
answer is lost is sent again, also by the next runtime after a crash. Among replicas one sends, by a lease.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.model.audit import AuditEntry, AuditFilter
from codewords_mcp.runtime.runs.poll_loop import PollLoop
from codewords_mcp.runtime.store import audit, audit_chain, audit_cursors
from codewords_mcp.runtime.store.database import Database

INTERVAL: Final = 1.0
"""Seconds between looks for entries."""
BATCH: Final = 500
"""Entries that are sent at once."""
LEASE: Final = 60.0
"""Seconds for which a replica is the one that sends. Sending one batch takes less."""
SEND_TIMEOUT: Final = 20.0
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0
"""Seconds between tries while the receiver takes nothing: at first, and at most."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AuditBatch:
    """Entries in the order of the chain. `head` is the hash of the newest block when they were read, for the receiver to note."""

    entries: Sequence[AuditEntry]
    head: str
    head_seq: int

    @property
    def id(self) -> str:
        """The same for the same entries."""
        return f"audit-{self.entries[0].seq}-{self.entries[-1].seq}"


class AuditReceiver(Protocol):
    """A place that entries are sent on to."""

    name: str

    async def send(self, batch: AuditBatch) -> None:
        """Send a batch. Returns when the receiver has it, as far as it says so. Raises CodewordsError."""
        ...


class BatchTooLarge(Exception):  # no error: fewer entries are sent at once
    """The receiver takes fewer bytes at once."""


class AuditForwarder(PollLoop):
    """Sends on what one receiver has not got. `executor` is this process."""

    def __init__(
        self,
        database: Database,
        executor: str,
        receiver: AuditReceiver,
        *,
        first_pause: float = FIRST_PAUSE,
        interval: float = INTERVAL,
        batch: int = BATCH,
    ) -> None:
        super().__init__("audit entries are not sent on", LONGEST_PAUSE)
        self.receiver = receiver
        self._db = database
        self._executor = executor
        self._first_pause = first_pause
        self._interval = interval
        self._most = self._batch = batch
        self._failures = 0
        self._seen = -1
        """`Database.audited` when everything was sent."""

    async def poll(self) -> float:
        """See `PollLoop`."""
        # Without an entry of this process, a database of its own has none.
        written = self._db.audited
        if written == self._seen and not self._db.shared:
            return self._interval

        # In this order: entries that are sealed between the two are unsent in the second.
        unsealed = await self._db.read(audit_chain.unsealed_count)
        cursor = await self._db.read(audit_cursors.read, self.receiver.name)
        if not cursor.unsent:
            if not unsealed:
                self._seen = written
            return self._interval
        return await self._send_next()

    async def _send_next(self) -> float:
        name = self.receiver.name
        place = await self._db.write(audit_cursors.take, name, self._executor, LEASE)
        if place is None:
            return self._interval
        entries = await self._db.read(audit.sealed_after, AuditFilter(), self._batch, place)
        if not entries:
            return self._interval
        head = await self._db.read(audit_chain.last_block)
        batch = AuditBatch(entries, head.hash if head else audit_chain.GENESIS, head.last_seq if head else 0)

        began = time.perf_counter()
        try:
            await self.receiver.send(batch)
        except BatchTooLarge:
            if len(entries) == 1:
                return await self._fail("The receiver refuses an entry as too large.")
            self._batch = max(1, len(entries) // 2)
            return 0.0
        except CodewordsError as error:
            return await self._fail(error.message)

        self._db.measures.audit_sent.add(name, "sent", amount=len(entries))
        if self._failures:
            log.info("audit entries are sent on again", receiver=name)
        self._failures = 0
        self._batch = min(self._most, self._batch * 2)
        log.debug(
            "audit entries sent on", receiver=name, entries=len(entries), took=time.perf_counter() - began
        )
        await self._db.write(audit_cursors.advance, name, self._executor, entries[-1].seq or place)
        # What came meanwhile is sent at once.
        return 0.0

    async def _fail(self, reason: str) -> float:
        name = self.receiver.name
        self._db.measures.audit_sent.add(name, "failed")
        self._failures += 1
        pause = min(LONGEST_PAUSE, self._first_pause * 2 ** (self._failures - 1))
        # The trail keeps them: nothing is lost, and the place says how far the receiver is.
        log.warning("audit entries are not sent on", receiver=name, tries=self._failures, reason=reason)
        # For all replicas: any of them makes the alert, and `doctor` asks any.
        await self._db.write(audit_cursors.fail, name, self._executor, reason)
        return pause
