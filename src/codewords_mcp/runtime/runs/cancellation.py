"""Cancellation of a run's task that takes effect: not before the task has started, and again if something swallowed it.

A task that is cancelled before its first step never runs at all, nor what it has in its `finally`; and what a run awaits
may take a cancellation for its own (`asyncio.wait_for` of Python 3.11 drops one that comes together with its result).
Either left a run behind that nobody could cancel any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

AGAIN = 2.0
"""Seconds after which a run that is not ending yet is cancelled once more. What a cancelled run has to clean up before it
counts as ending takes some milliseconds."""


def cancel_until_done(strike: Callable[[], bool]) -> None:
    """Call `strike` when every task made until now has started, then every `AGAIN` seconds while it returns True."""
    loop = asyncio.get_running_loop()

    def once() -> None:
        if strike():
            loop.call_later(AGAIN, once)

    loop.call_soon(once)  # behind the first step of a task that was made before
