"""Polling: wait for something that nothing else announces, such as a file, a record or the end of a process."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENT_TIMEOUT = 150.0
"""For what starts runtimes: a loaded machine takes minutes for what takes a second alone."""

_LONGEST_PAUSE = 0.1


def until(condition: Callable[[], T], subject: str = "the condition", timeout: float = PATIENT_TIMEOUT) -> T:
    """Poll until the condition is true, and return its value. Fails the test with the subject after the timeout."""
    deadline, pause = time.monotonic() + timeout, 0.01
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout:g} s in vain for {subject}"
        time.sleep(pause)
        pause = _next(pause)
    return value


async def until_async(
    condition: Callable[[], T | Awaitable[T]], subject: str = "the condition", timeout: float = 60
) -> T:
    """The same in an event loop. The condition may be a coroutine function."""
    deadline, pause = time.monotonic() + timeout, 0.001
    while not (value := await _resolved(condition())):
        assert time.monotonic() < deadline, f"waited {timeout:g} s in vain for {subject}"
        await asyncio.sleep(pause)
        pause = _next(pause)
    return value


async def _resolved(value: T | Awaitable[T]) -> T:
    if inspect.isawaitable(value):
        return await value
    return value


def _next(pause: float) -> float:
    # Polling a busy runtime too often takes the time that it needs itself.
    return min(pause * 1.3, _LONGEST_PAUSE)
