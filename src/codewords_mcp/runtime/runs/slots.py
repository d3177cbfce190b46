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

LOOK = 0.2
"""Seconds between looks at what the others hold, while runs wait here; news of theirs make it look at once."""
SPACING = 0.02
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
        self._news = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    def on_remote_change(self) -> None:
        """Another replica has changed a run: it may have given a slot back."""
        self._news.set()

    def why_not_now(self, connection: Connection, place: LimitScope, *, behind: bool) -> str | None:
        """What a run waits for that has a slot of this process, in the transaction that records it; None: it may start.
        `behind`: it goes behind runs alike that wait in the durable line.

        Raises TooBusy for a nested run beyond what those may.
        """
        if not self._db.shared:
            return None

        slots.lock(connection, place)
        if (found := slots.exhausted_limit(connection, place)) is not None:
            full, active = found
            if place.nested and full.scope != "workflow":
                raise full.too_nested(active)
            return full.scope

        if behind and not place.nested and slots.are_ahead(connection, place):
            return "turn"

        return None

    def why(self, place: LimitScope) -> str:
        """What a run waits for that got no slot of this process."""
        full = self.admission.full(place)
        if full:
            return full.scope
        return "turn"

    def tell(self, run_id: str, waits_for: str) -> None:
        """Let the record say what the run waits for."""
        values = waiting_for(waits_for)
        self._db.write_soon(rows.change, run_id, values, only_from=NOT_RUNNING, holder=self._executor)

    @asynccontextmanager
    async def slot(
        self,
        run_id: str,
        place: LimitScope,
        *,
        claimed: bool,
        priority: int = USUAL,
        patience: float | None = None,
    ) -> AsyncGenerator[None]:
        """Hold a slot; `claimed`: there is one already, and the record says so.

        Raises TooBusy after `patience` seconds, NotOurs where the run was cancelled or taken over while it waited.
        """
        if not claimed:
            try:
                async with asyncio.timeout(patience):
                    await self._get(run_id, place, self.admission.ticket(priority))
            except TimeoutError:
                raise (self.admission.full(place) or place.limits[-1]).waited(patience or 0) from None

        try:
            yield
        finally:
            self.admission.leave(place)

    async def _get(self, run_id: str, place: LimitScope, ticket: Ticket) -> None:
        told = ""
        while True:
            full = self.admission.full(place)
            if full is not None and full.scope != told:
                told = full.scope
                self.tell(run_id, told)

            if self._db.shared:
                self._watch()
            await self.admission.wait(place, ticket)
            if not self._db.shared:
                return

            try:
                begun, elsewhere = await self._db.write(self._begin, run_id, place)
            except BaseException:
                self.admission.leave(place)
                raise

            if begun:
                return

            self.admission.tell_elsewhere(elsewhere)
            self.admission.leave(place)  # others were quicker: back to the same place in line

    def _begin(self, connection: Connection, run_id: str, place: LimitScope) -> tuple[bool, Any]:
        """Take the slot for everybody to see; (True, None), or (False, what the others hold)."""
        slots.lock(connection, place)
        if slots.exhausted_limit(connection, place) is not None:
            return False, slots.active_elsewhere(connection, self._executor)
        if not rows.change(
            connection, run_id, to_starting(now()), only_from=("queued",), holder=self._executor
        ):
            raise NotOurs
        return True, None

    def _watch(self) -> None:
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._look_on(), name="turns")

    async def _look_on(self) -> None:
        """While runs wait here, learn what the others hold."""
        while True:
            self._news.clear()
            try:
                held = await self._db.read(slots.active_elsewhere, self._executor)
                self.admission.tell_elsewhere(held)
            except CodewordsError as error:
                log.warning("what other replicas hold could not be read", reason=error.message)
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("what other replicas hold could not be read")

            if not self.admission.queued:
                self.admission.tell_elsewhere({})  # it may be stale before somebody waits again
                return

            await asyncio.sleep(SPACING)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._news.wait()

    async def close(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
