"""Log lines of runs."""

from __future__ import annotations

from collections.abc import AsyncIterator

from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.log_batch import LogBatch
from codewords_mcp.runtime.model.run import LogLine, Run
from codewords_mcp.runtime.runs.log_followers import by_line


class LogApi:
    """Log lines of runs."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def lines(
        self, caller: Caller, run_id: str, *, after: str | None = None, follow: bool = True
    ) -> AsyncIterator[LogLine | None]:
        """`log_batches`, line by line."""
        return by_line(self.batches(caller, run_id, after=after, follow=follow))

    def batches(
        self, caller: Caller, run_id: str, *, after: str | None = None, follow: bool = True
    ) -> AsyncIterator[LogBatch | None]:
        """Lines after the `created_at` given; None about every 5 s as a heartbeat while following. Ends soon after the run ends.

        Raises NotFound at the first step.
        """
        return self._container.dispatcher.follow(caller, run_id, after=after, follow=follow)

    async def from_end(
        self, caller: Caller, run_id: str, *, limit: int, before: str | None = None, follow: bool = True
    ) -> AsyncIterator[LogBatch | None]:
        """The last lines and, unless only those `before` a time are asked for, what comes after them as in `batches`."""
        batch = await self._container.dispatcher.last_batch(caller, run_id, limit, before)
        if batch.lines:
            yield batch
        if before is not None:
            return
        after = batch.lines[-1][0] if batch.lines else None
        async for later in self.batches(caller, run_id, after=after, follow=follow):
            yield later

    async def tail(self, caller: Caller, run_id: str, *, limit: int = 50) -> list[LogLine]:
        """The last lines, without waiting."""
        return await self._container.dispatcher.tail(caller, run_id, limit)

    async def final(self, caller: Caller, run: Run, *, limit: int) -> list[LogLine]:
        """The last lines; of a failed run with its traceback, for which this waits some seconds at most."""
        return await self._container.dispatcher.final_tail(caller, run, limit)
