"""Progress reports of long operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Progress = Callable[[float, float, str], Awaitable[None]]
"""`await progress(done, total, message)`; done ≤ total, a message a person can read."""


async def no_progress(done: float, total: float, message: str) -> None:
    """Discard progress. The default without a listener."""
