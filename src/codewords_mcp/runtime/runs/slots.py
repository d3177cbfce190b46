"""Slots for runs: this process's own (admission.py) and, where others share the database, everybody's (store/slots.py)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.model.limits import LimitScope
from codewords_mcp.runtime.model.run_state import NOT_RUNNING, to_starting, waiting_for
from codewords_mcp.runtime.runs.admission import USUAL, Admission, Ticket
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store import slots
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

POLL_INTERVAL = 0.2
"""Seconds between looks at what the others hold, while runs wait here; news of theirs make it look at once."""
MIN_INTERVAL = 0.02
"""Seconds between two looks at the least."""
log = structlog.get_logger(__name__)


class NotOurs(Exception):  # no error: the run is another's now, or over
    """The run whose turn has come is no longer this process's."""


class SlotManager:
    """Gives slots to the runs that `executor`, this process, holds."""

    def __init__(self, admission: Admission, database: Database, executor: str) -> None:
        self.admission = admission
        self._db = database
        self._executor = executor
        self._changed = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    def on_remote_change(self) -> None:
        """Count slots again: another replica has changed a run, and may have released its slot."""
        self._changed.set()

    def why_not_now(self, connection: Connection, scope: LimitScope, *, behind: bool) -> str | None:
        """The reason for which a run with a slot of this process must wait; None if it may start.

        Called in the transaction that records the run.
        `behind`: it goes behind runs alike that wait in the durable line.

        Raises TooBusy for a nested run beyond what those may.
        """
        # The only process of a home counts its runs exactly by itself.
        if not self._db.shared:
            return None

        # Replicas count one after the other, so that two never take the last place.
        slots.lock(connection, scope)
        if (found := slots.exhausted_limit(connection, scope)) is not None:
            full, active = found
            if scope.nested and full.scope != "workflow":
                raise full.too_nested(active)
            return full.scope

        if behind and not scope.nested and slots.are_ahead(connection, scope):
            return "turn"

        return None

    def why(self, scope: LimitScope) -> str:
        """The reason for which a run waits that got no slot of this process."""
        full = self.admission.full(scope)
        if full:
            return full.scope
        return "turn"

    def record_reason(self, run_id: str, waits_for: str) -> None:
        """Let the record say what the run waits for."""
        values = waiting_for(waits_for)
        self._db.write_soon(rows.change, run_id, values, only_from=NOT_RUNNING, holder=self._executor)

    @asynccontextmanager
    async def slot(
        self,
        run_id: str,
        scope: LimitScope,
        *,
        claimed: bool,
        priority: int = USUAL,
        max_wait: float | None = None,
    ) -> AsyncGenerator[None]:
        """Hold a slot; `claimed`: there is one already, and the record says so.

        Raises TooBusy after `max_wait` seconds, NotOurs where the run was cancelled or taken over while it waited.
        """
        if not claimed:
            try:
                async with asyncio.timeout(max_wait):
                    await self._get(run_id, scope, self.admission.ticket(priority))
            except TimeoutError:
                raise (self.admission.full(scope) or scope.limits[-1]).waited(max_wait or 0) from None

        try:
            yield
        finally:
            self.admission.leave(scope)

    async def _get(self, run_id: str, scope: LimitScope, ticket: Ticket) -> None:
        recorded, returns_slot = "", False
        while True:
            full = self.admission.full(scope)
            if full is not None and full.scope != recorded:
                recorded = full.scope
                self.record_reason(run_id, recorded)

            if self._db.shared:
                self._watch()
            await self.admission.wait(scope, ticket, returns_slot=returns_slot)
            if not self._db.shared:
                return

            try:
                started, elsewhere = await self._db.write(self._start, run_id, scope)
            # The caller gives a slot back only after this has returned.
            except BaseException:
                self.admission.leave(scope)
                raise

            if started:
                return

            self.admission.set_elsewhere(elsewhere)
            # Another replica was quicker, or an ended run's record is not written yet: wait again,
            # at the same position.
            returns_slot = True

    def _start(self, connection: Connection, run_id: str, scope: LimitScope) -> tuple[bool, Any]:
        """Take the slot for everybody to see; (True, None), or (False, what the others hold)."""
        slots.lock(connection, scope)
        # Under the lock: what was free a moment ago may be taken by another replica.
        if slots.exhausted_limit(connection, scope) is not None:
            return False, slots.active_elsewhere(connection, self._executor)
        if not rows.change(
            connection, run_id, to_starting(now()), only_from=("queued",), holder=self._executor
        ):
            raise NotOurs
        return True, None

    def _watch(self) -> None:
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch_others(), name="turns")

    async def _watch_others(self) -> None:
        """Read the slots that other replicas hold, while runs wait here."""
        while True:
            self._changed.clear()
            try:
                elsewhere = await self._db.read(slots.active_elsewhere, self._executor)
                self.admission.set_elsewhere(elsewhere)
            except CodewordsError as error:
                log.warning("what other replicas hold could not be read", reason=error.message)
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("what other replicas hold could not be read")

            if not self.admission.queued:
                self.admission.set_elsewhere({})  # it may be stale before somebody waits again
                return

            await asyncio.sleep(MIN_INTERVAL)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_INTERVAL):
                    await self._changed.wait()

    async def close(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
