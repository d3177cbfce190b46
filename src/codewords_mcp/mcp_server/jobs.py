"""Work that may outlast the call that started it: a second call with the same content joins it."""

from __future__ import annotations

import asyncio
import operator
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar, cast

from codewords_mcp.errors import TooBusy
from codewords_mcp.runtime.model.progress import Progress

T = TypeVar("T")


class _Job:
    """A piece of work, its latest progress, and the number of calls that wait for it."""

    def __init__(self, work: Callable[[Progress], Awaitable[Any]]) -> None:
        self.waiters = 0
        self.ended_at: float | None = None
        self.latest: tuple[float, float, str] | None = None
        self._change = asyncio.Event()
        self.task = asyncio.ensure_future(work(self._report))
        self.task.add_done_callback(self._ended)

    async def _report(self, done: float, total: float, message: str) -> None:
        self.latest = (done, total, message)
        self._announce()

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self.ended_at = time.monotonic()
        if not task.cancelled():
            # Retrieved, or asyncio logs it: the caller may never come back for the result.
            task.exception()
        self._announce()

    def _announce(self) -> None:
        # Replaced and not cleared: a follower that still waits for the old event finds it set.
        self._change.set()
        self._change = asyncio.Event()

    async def follow(self, progress: Progress) -> None:
        """Report progress until the work ends.

        Reports are sent from the follower's own task, so that a slow client delays only itself.
        """
        reported = None
        while True:
            change, latest = self._change, self.latest
            if latest is not None and latest is not reported:
                reported = latest
                await progress(*latest)
            elif self.task.done():
                return
            else:
                await change.wait()


class Jobs:
    """At most `limit` pieces of work. A result that no call collected stays for `ttl` seconds."""

    def __init__(self, limit: int = 64, ttl: float = 600.0) -> None:
        self._limit = limit
        self._ttl = ttl
        self._jobs: dict[Hashable, _Job] = {}

    def __len__(self) -> int:
        """Return the number of jobs that run or wait to be collected."""
        return len(self._jobs)

    @property
    def busy(self) -> int:
        """Return the number of running jobs."""
        return sum(not job.task.done() for job in self._jobs.values())

    async def join(
        self, key: Hashable, work: Callable[[Progress], Awaitable[T]], *, wait: float, progress: Progress
    ) -> T | None:
        """Return the result of `work`, started now or by an earlier call with this key.

        Returns None after `wait` seconds; the work continues. If the last waiting call is cancelled,
        the work is cancelled too. Raises the work's exceptions, and TooBusy.
        """
        job = self._jobs.get(key) or self._start(key, work)
        job.waiters += 1

        try:
            async with asyncio.timeout(wait):
                await job.follow(progress)
        except TimeoutError:
            # The job stays, so that the next call with the same content joins it.
            return None
        except asyncio.CancelledError:
            # Nobody else waits for it, and the only call that wanted it is gone.
            if job.waiters == 1:
                job.task.cancel()
                self._jobs.pop(key, None)

            raise
        finally:
            job.waiters -= 1

        self._jobs.pop(key, None)
        return cast("T", job.task.result())

    def _start(self, key: Hashable, work: Callable[[Progress], Awaitable[Any]]) -> _Job:
        if self.busy >= self._limit:
            raise TooBusy(
                f"{self._limit} validations and deployments are under way.",
                retry_after=30,
                hint="Try again in 30 seconds.",
            )
        self._forget_ended()
        job = self._jobs[key] = _Job(work)
        return job

    def _forget_ended(self) -> None:
        """Drop expired results, and the oldest ones beyond `limit`."""
        horizon = time.monotonic() - self._ttl
        ended = [(job.ended_at, key) for key, job in self._jobs.items() if job.ended_at is not None]
        # Sorted by time alone: keys of several tools need not be comparable.
        ended.sort(key=operator.itemgetter(0))
        for position, (ended_at, key) in enumerate(ended):
            if ended_at < horizon or position < len(ended) - self._limit:
                del self._jobs[key]

    async def aclose(self) -> None:
        """Cancel all running jobs and wait until they have ended."""
        tasks = [job.task for job in self._jobs.values()]
        self._jobs.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
