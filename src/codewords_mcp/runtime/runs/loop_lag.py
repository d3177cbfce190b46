"""Measures by how much the event loop is late: the time that everything waits for code that does not yield."""

from __future__ import annotations

import asyncio
from typing import Final

from codewords_mcp.runtime.model.measures import Measures
from codewords_mcp.runtime.runs.poll_loop import PollLoop

INTERVAL: Final = 1.0
"""Seconds between two looks."""


class LagLoop(PollLoop):
    """Wakes once a second, and counts by how much later than that it was woken."""

    def __init__(self, measures: Measures, interval: float = INTERVAL) -> None:
        super().__init__("the event loop's lag is not measured", interval)
        self._measures = measures
        self._interval = interval
        self._due: float | None = None

    async def poll(self) -> float:
        """See `PollLoop`."""
        at = asyncio.get_running_loop().time()
        if self._due is not None:
            self._measures.loop_lag.observe(max(0.0, at - self._due))
        self._due = at + self._interval
        return self._interval
