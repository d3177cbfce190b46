"""Work that outlasts a call: joined, bounded, cancelled by its last waiter."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.waiting import until_async

from codewords_mcp.errors import NotFound, TooBusy
from codewords_mcp.mcp_server.jobs import Jobs
from codewords_mcp.runtime.model.progress import Progress, no_progress

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("mcp:long-work")]


class Work:
    """Counts how often it was started, waits to be let go, answers "done"."""

    def __init__(self) -> None:
        self.starts = 0
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, progress: Progress) -> str:
        self.starts += 1
        await progress(1, 3, "first")
        self.started.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "done"


async def test_a_call_with_the_same_content_joins_the_work() -> None:
    jobs, work = Jobs(), Work()
    assert await jobs.join("key", work, wait=0.001, progress=no_progress) is None
    await work.started.wait()
    work.go_on.set()
    assert await jobs.join("key", work, wait=5, progress=no_progress) == "done"
    assert work.starts == 1


async def test_work_that_ended_unattended_is_collected_once() -> None:
    jobs, work = Jobs(), Work()
    assert await jobs.join("key", work, wait=0.001, progress=no_progress) is None
    work.go_on.set()
    assert await jobs.join("key", work, wait=5, progress=no_progress) == "done"
    assert await jobs.join("key", work, wait=5, progress=no_progress) == "done"
    assert work.starts == 2


async def test_each_waiter_hears_the_progress_also_of_work_begun_before_it_came() -> None:
    jobs, work = Jobs(), Work()
    heard: list[tuple[str, str]] = []

    def listener(name: str) -> Progress:
        async def hear(_: float, __: float, message: str) -> None:
            heard.append((name, message))

        return hear

    first = asyncio.create_task(jobs.join("key", work, wait=5, progress=listener("first")))
    await work.started.wait()
    second = asyncio.create_task(jobs.join("key", work, wait=5, progress=listener("second")))
    await until_async(lambda: len(heard) >= 2)
    work.go_on.set()
    assert await first == await second == "done"
    assert sorted(heard) == [("first", "first"), ("second", "first")]


async def test_the_last_waiter_to_be_cancelled_cancels_the_work() -> None:
    jobs, work = Jobs(), Work()
    waiters = [asyncio.create_task(jobs.join("key", work, wait=5, progress=no_progress)) for _ in range(2)]
    await work.started.wait()
    waiters[0].cancel()
    await asyncio.wait({waiters[0]})
    assert not work.cancelled.is_set()
    waiters[1].cancel()
    await asyncio.wait_for(work.cancelled.wait(), 5)
    await asyncio.wait(waiters)


async def test_what_the_work_raises_reaches_whoever_joins_later() -> None:
    jobs, work = Jobs(), Work()

    async def fails(progress: Progress) -> str:
        await work(progress)
        raise NotFound("gone")

    assert await jobs.join("key", fails, wait=0.001, progress=no_progress) is None
    work.go_on.set()
    with pytest.raises(NotFound, match="gone"):
        await jobs.join("key", fails, wait=5, progress=no_progress)


async def test_too_much_work_at_once_is_refused_with_a_time_to_come_back() -> None:
    jobs, work = Jobs(limit=1), Work()
    assert await jobs.join("one", work, wait=0.001, progress=no_progress) is None
    with pytest.raises(TooBusy) as refused:
        await jobs.join("two", work, wait=5, progress=no_progress)
    assert refused.value.retry_after > 0
    await jobs.aclose()


async def test_results_that_nobody_collects_take_no_room_from_new_work_and_are_forgotten() -> None:
    jobs, work = Jobs(limit=1, ttl=0), Work()
    work.go_on.set()
    for key in ("one", "two", "three"):
        assert await jobs.join(key, work, wait=0, progress=no_progress) is None
        await until_async(lambda: not jobs.busy)
    assert len(jobs) <= 2
    assert await jobs.join("four", work, wait=5, progress=no_progress) == "done"


async def test_closing_cancels_what_is_under_way() -> None:
    jobs, work = Jobs(), Work()
    assert await jobs.join("key", work, wait=0.001, progress=no_progress) is None
    await work.started.wait()
    await jobs.aclose()
    assert work.cancelled.is_set()
