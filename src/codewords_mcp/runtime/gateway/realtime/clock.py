"""Sessions that are billed by the hour: each minute is a call, reserved before it begins."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from codewords_mcp.runtime.gateway.estimates import SLICE_MESSAGES, SLICE_SECONDS
from codewords_mcp.runtime.gateway.exchange import ProviderCall
from codewords_mcp.runtime.gateway.realtime.calls import NOTHING, SessionCalls
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.usage import AUDIO_MS, TEXT_MESSAGES

_TEXT_ITEM: Final = "conversation.item.create"


class SessionClock:
    """The time of one session. `slice_seconds` are those that are reserved at once, by `estimates.py`."""

    def __init__(
        self, calls: SessionCalls, facts: RequestFacts, *, slice_seconds: float = SLICE_SECONDS
    ) -> None:
        self._session = calls
        self._facts = facts
        self._slice = slice_seconds
        self._call: ProviderCall | None = None
        self._began = 0.0
        self._messages = 0

    async def open(self) -> None:
        """Reserve the first minute. Raises BudgetExceeded and UnpricedModel."""
        self._call = await self._session.reserve(self._facts)
        self._begin(time.monotonic())

    def _begin(self, now: float) -> None:
        self._began, self._messages = now, 0
        if self._call is not None:
            self._session.begin(self._call)

    async def run(self) -> None:
        """Count minute after minute. Raises BudgetExceeded where the next cannot be paid for."""
        while True:
            left = self._began + self._slice - time.monotonic()
            if left > 0:
                await asyncio.sleep(left)
            else:
                await self._next(self._began + self._slice)

    async def _next(self, now: float) -> None:
        self._settle(now)
        self._call = await self._session.reserve(self._facts)
        self._begin(now)

    async def note_sent(self, kind: str) -> None:
        """Count an event of the caller. Raises BudgetExceeded."""
        if kind != _TEXT_ITEM:
            return
        if self._messages == SLICE_MESSAGES:
            await self._next(time.monotonic())
        self._messages += 1

    def _settle(self, now: float) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        # A loop that is late must not charge a minute twice.
        seconds = min(self._slice, max(0.0, now - self._began))
        used = {AUDIO_MS: round(seconds * 1000), TEXT_MESSAGES: self._messages}
        self._session.settle(call, NOTHING | used)

    def release(self) -> None:
        """Count what of the minute has passed."""
        self._settle(time.monotonic())
