"""Cancel tasks that never end by themselves, and ignore results that nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


async def end(tasks: Iterable[asyncio.Task[Any]], *, retry_interval: float = 1.0) -> None:
    """Cancel tasks and wait for them, whatever they end with.

    anyio 4.16 on CPython 3.11 can lose a cancellation that arrives while httpx connects (one of
    some hundred): the loop continues, and its waiter would wait forever. So tasks are cancelled
    again every `retry_interval` seconds.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=retry_interval)
        for task in done:
            if not task.cancelled():
                task.exception()  # asked for, or asyncio complains of it


def ignore_result(done: asyncio.Future[Any]) -> None:
    """Mark the error of a future as seen; a callback for `add_done_callback`."""
    # A caller that awaits the future gets the error. Where no caller does, asyncio would log the
    # error as never retrieved.
    if not done.cancelled():
        done.exception()
