"""Loop of the components that start what is due. It polls when it is woken, and when the next item is due."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any

import structlog

from codewords_mcp.errors import CodewordsError

log = structlog.get_logger(__name__)


class PollLoop(ABC):
    """Runs from `run()` until cancelled. `armed` tells whether anything is to come.

    `failing` is the log's message for a failed poll; the next one follows `after_failure` seconds later.
    """

    def __init__(self, failing: str, after_failure: float) -> None:
        self._failing = failing
        self._after_failure = after_failure
        self._woken = asyncio.Event()
        self.armed = False

    def wake(self) -> None:
        """Something came or was changed; until it has been looked at, something may be to come."""
        self.armed = True
        self._woken.set()

    @abstractmethod
    async def poll(self) -> float:
        """Do what is due, and say in how many seconds to look again."""

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            # Before the poll: whatever comes during it makes the next one start at once.
            self._woken.clear()
            pause = self._after_failure
            try:
                pause = await self.poll()
            except CodewordsError as error:
                log.error(self._failing, reason=error.message)
            except Exception:
                # One bad row must not stop all others: the loop goes on, and the log tells.
                log.exception(self._failing)

            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()


async def finish_all(work: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Carry out all at once and to the end. Raises the error of the first that failed, once the others are done.

    A task group would cancel the others: a row that fails each time would then stop those that are due beside it.
    """
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
