"""Ends tasks that go on for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN = 1.0
"""Seconds after which a task that goes on is cancelled once more."""


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended, with whatever they end.

    For loops that talk to others: a cancel that falls just as httpx has connected is lost now and then (anyio 4.16 on CPython
    3.11, one of some hundred), the loop goes on, and who waits for it waits for ever. So they are cancelled until they end.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=_AGAIN)
        for task in done:
            if not task.cancelled():
                task.exception()  # asked for, or asyncio complains of it
