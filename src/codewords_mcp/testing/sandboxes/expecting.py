"""Expectations of checks: they raise `Broken`, since an `assert` is gone under `python -O`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from codewords_mcp.errors import CodewordsError

T = TypeVar("T")
E = TypeVar("E", bound=CodewordsError)
WAIT_TIMEOUT: Final = 30.0
"""Seconds to wait for what takes milliseconds."""
_SHOWN: Final = 600


class Broken(Exception):
    """A promise that does not hold; the message says which, and what was seen."""


def show(value: object) -> str:
    """A value in a message, shortened."""
    text = repr(value)
    if len(text) <= _SHOWN:
        return text
    return f"{text[:_SHOWN]}… ({len(text)} characters)"


def expect(holds: object, sentence: str) -> None:
    """Raise `Broken(sentence)` unless `holds`."""
    if not holds:
        raise Broken(sentence)


def same(seen: object, expected: object, what: str) -> None:
    """Raise `Broken` unless both are equal. `what` names what was looked at."""
    if seen != expected:
        raise Broken(f"{what}: expected {show(expected)}, saw {show(seen)}.")


async def within(awaited: Awaitable[T], what: str, seconds: float = WAIT_TIMEOUT) -> T:
    """The result, or `Broken` where it does not come. `what` completes "… did not happen"."""
    # The timeout's own state tells it from a TimeoutError of the call.
    bound = asyncio.timeout(seconds)
    try:
        async with bound:
            return await awaited
    except TimeoutError:
        if bound.expired():
            raise Broken(f"{what} did not happen within {seconds:g} seconds.") from None
        raise


async def raises(kind: type[E], awaited: Awaitable[object], what: str) -> E:
    """The error of this kind that `awaited` raises; `Broken` where it returns, raises another, or hangs."""
    try:
        result = await within(awaited, what)
    except kind as error:
        return error
    except Broken:
        raise
    except Exception as error:
        raise Broken(
            f"{what}: expected {kind.__name__}, was raised {type(error).__name__}: {error}"
        ) from error

    raise Broken(f"{what}: expected {kind.__name__}, returned {show(result)}.")


async def together(*works: Coroutine[Any, Any, T]) -> list[T]:
    """Return the results, in order. If a coroutine raises, the others are cancelled, and its error is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        # Waited for, so that no task outlives its check.
        await asyncio.wait(tasks)
        for task in tasks:
            # Else asyncio logs the error as never retrieved.
            _ = task.cancelled() or task.exception()


async def until(holds: Callable[[], Any], what: str, seconds: float = WAIT_TIMEOUT) -> None:
    """Wait for what no event tells: a file that goes, a process that ends. `holds` may be async."""

    async def poll() -> None:
        while True:
            value = holds()
            if await value if inspect.isawaitable(value) else value:
                return
            await asyncio.sleep(0.02)

    await within(poll(), what, seconds)


async def settled(read: Callable[[], Awaitable[int] | int], enough: int) -> int:
    """A number that grew and no longer does, or is past `enough`."""
    # Being slow to grow looks the same as not growing: no check fails because of that.
    before = -1
    while True:
        value = read()
        if inspect.isawaitable(value):
            number = await value
        else:
            number = value

        if number == before or number > enough:
            return number

        before = number
        await asyncio.sleep(0.2)


@asynccontextmanager
async def background(work: Awaitable[T]) -> AsyncGenerator[asyncio.Future[T]]:
    """`work` as a task, cancelled at the end if it still runs; its exception is for the code that awaits it."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        # A call that cannot be cancelled would hang the suite.
        ended, _ = await asyncio.wait({task}, timeout=WAIT_TIMEOUT)
        expect(ended, "A call that was cancelled did not end.")
        if not task.cancelled():
            task.exception()
