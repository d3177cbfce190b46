"""Keeps within what an account may do: so many sandboxes a second, so many at once."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class CreateRate:
    """Lets `rate` callers a second pass, a second's worth at once. `hold` stops all of them for a while."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate)
        self._tokens = self._most
        self._at = asyncio.get_running_loop().time()
        self._turn = asyncio.Lock()

    async def wait_turn(self) -> None:
        """Return when it is this caller's turn; first come, first served."""
        async with self._turn:
            self._refill()
            # The lock is held while it waits: the next callers queue behind, in order.
            if self._tokens < 1:
                await asyncio.sleep((1 - self._tokens) / self._rate)
                self._refill()
            self._tokens -= 1

    def hold(self, seconds: float) -> None:
        """E2B said that this was too quick: the next one waits this long."""
        self._refill()
        # Below zero: the callers that wait now wait longer, and those after them too.
        self._tokens = min(self._tokens, 1 - seconds * self._rate)

    def _refill(self) -> None:
        now = asyncio.get_running_loop().time()
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now


class MachineSlots:
    """Slots for machines that run at once."""

    def __init__(self, count: int) -> None:
        self._semaphore = asyncio.Semaphore(count)

    async def take(self) -> Slot:
        """Return when there is a slot. The caller bounds the wait."""
        await self._semaphore.acquire()
        return Slot(self._semaphore)


class Slot:
    """A slot; leaving a `with` block by an error releases it."""

    def __init__(self, semaphore: asyncio.Semaphore) -> None:
        self._semaphore: asyncio.Semaphore | None = semaphore

    def release(self) -> None:
        """Give it to the next. Idempotent."""
        # Released once: both an error and the end of the machine release it.
        semaphore, self._semaphore = self._semaphore, None
        if semaphore is not None:
            semaphore.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is not None:
            self.release()
