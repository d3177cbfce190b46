"""Records operations that no change of a table tells, and seals the chain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from codewords_mcp.runtime.audit.subjects import SubjectMarks
from codewords_mcp.runtime.model.audit import AuditedOperation, AuditOutcome
from codewords_mcp.runtime.runs.poll_loop import PollLoop
from codewords_mcp.runtime.store import audit_capture, audit_chain
from codewords_mcp.runtime.store.database import Database

SEAL_INTERVAL = 1.0
"""Seconds between two looks for entries to seal."""
MAX_REFUSALS = 60
"""Refused operations of a minute that have entries of their own. The entry after a gap says how many had none."""
_MINUTE = 60.0


class AuditTrail:
    """The trail of a home, as the front doors write to it. `clock` gives monotonic seconds."""

    def __init__(
        self, database: Database, marks: SubjectMarks, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._db = database
        self._marks = marks
        self._clock = clock
        self._minute = clock()
        self._refusals = 0
        self._left_out = 0
        self._entries: list[audit_capture.EndedOperation] = []
        self._waiting: asyncio.Future[None] | None = None
        """The write of `_entries`."""

    def record(self, operation: AuditedOperation, outcome: AuditOutcome, error: str = "") -> None:
        """Add an entry of an operation that is over, unless its own changes are in the trail.

        Reads are not recorded, but refused ones are. The write is retried until the store accepts it.
        """
        if outcome == "refused":
            left_out = self._count_refusal()
            if left_out is None:
                return
            if left_out:
                error = f"{error}; {left_out} more were refused before, and not recorded"
        elif operation.recorded or not (operation.writes or operation.action):
            return

        entry = audit_capture.EndedOperation(
            operation,
            operation.action or ("refuse" if outcome == "refused" else "call"),
            outcome,
            error,
            self._marks.mark,
        )
        if outcome == "refused":
            # Nothing else may be left of it.
            self._db.write_with_retries(audit_capture.add_unless_recorded, [entry])
            return
        # Calls that were made come by the thousand: those between which nothing else is written are one write.
        if self._waiting is None or not self._db.is_latest(self._waiting):
            self._entries = []
            self._waiting = self._db.write_later(audit_capture.add_unless_recorded, self._entries)
        self._entries.append(entry)

    def _count_refusal(self) -> int | None:
        """Count a refused operation: how many were left out before it, None if it is left out too.

        A stranger must not be able to fill the disk.
        """
        at = self._clock()
        if at - self._minute >= _MINUTE:
            self._minute, self._refusals = at, 0
        self._refusals += 1
        if self._refusals > MAX_REFUSALS:
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        return left_out


class SealLoop(PollLoop):
    """Seals new entries once a second."""

    def __init__(self, database: Database) -> None:
        super().__init__("the audit trail is not sealed", 5.0)
        self._db = database
        self._sealed = -1
        """`Database.audited` when everything was sealed."""

    async def poll(self) -> float:
        """See `PollLoop`."""
        written = self._db.audited
        # Replicas seal for each other, since one that stops may leave entries behind.
        if written != self._sealed or self._db.shared:
            while await self._db.write(audit_chain.seal) == audit_chain.MAX_BLOCK:
                pass
            self._sealed = written
        return SEAL_INTERVAL


async def prune_audit(database: Database, before: int) -> None:
    """Remove entries that were sealed before a time in µs, in pieces between which others write."""
    more = True
    while more:
        more = await database.write(audit_chain.prune, before)
