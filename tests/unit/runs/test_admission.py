"""Who starts, who waits, who is turned away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from codewords_mcp.errors import TooBusy
from codewords_mcp.runtime.runs.admission import Admission

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("runs:admission")]


async def _hold(
    admission: Admission, order: list[int], number: int, release: asyncio.Event, owner: str = "o"
) -> None:
    async with admission.slot(owner):
        order.append(number)
        await release.wait()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_the_limit_holds_and_the_queue_is_served_in_order() -> None:
    admission, release = Admission(2, 10), asyncio.Event()
    order: list[int] = []
    tasks = [asyncio.create_task(_hold(admission, order, n, release)) for n in range(6)]
    await _until(lambda: admission.queued == 4)
    assert order == [0, 1]
    assert admission.active == 2
    release.set()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4, 5]
    assert (admission.active, admission.queued) == (0, 0)


async def test_a_full_queue_turns_away_with_a_time_to_come_back() -> None:
    admission, release = Admission(1, 1), asyncio.Event()
    tasks = [asyncio.create_task(_hold(admission, [], n, release)) for n in range(2)]
    await _until(lambda: admission.queued == 1)
    with pytest.raises(TooBusy) as caught:
        async with admission.slot("o"):
            pass
    assert caught.value.retry_after > 0
    release.set()
    await asyncio.gather(*tasks)


async def test_owners_do_not_wait_for_each_other() -> None:
    admission, release = Admission(1, 5), asyncio.Event()
    order: list[int] = []
    tasks = [asyncio.create_task(_hold(admission, order, n, release, owner)) for n, owner in enumerate("ab")]
    await _until(lambda: len(order) == 2)
    release.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("served", [False, True])
async def test_a_cancelled_wait_loses_no_slot_even_when_its_turn_had_just_come(served: bool) -> None:
    admission, release = Admission(1, 5), asyncio.Event()
    order: list[int] = []
    release.set()
    async with admission.slot("o"):
        second, third = (asyncio.create_task(_hold(admission, order, n, release)) for n in (1, 2))
        await _until(lambda: admission.queued == 2)
        if not served:
            second.cancel()
    second.cancel()  # leaving the slot gave it to the second, which has not woken yet
    with pytest.raises(asyncio.CancelledError):
        await second
    await third
    assert order == [2]
    assert (admission.active, admission.queued) == (0, 0)


async def test_calls_of_running_workflows_do_not_queue_but_end_somewhere() -> None:
    admission = Admission(2, 0)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(admission.slot("o"))
        for _ in range(2):
            await stack.enter_async_context(admission.slot("o", nested=True))
        with pytest.raises(TooBusy, match="workflows that call workflows"):
            await stack.enter_async_context(admission.slot("o", nested=True))
    assert admission.active == 0
