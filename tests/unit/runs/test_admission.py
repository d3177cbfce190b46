"""Who starts, who waits, who is next, who is turned away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from tests.support.waiting import until_async

from codewords_mcp.errors import TooBusy
from codewords_mcp.runtime.model.limits import NESTED_FACTOR, LimitScope, limit_scope
from codewords_mcp.runtime.runs.admission import USUAL, Admission
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("runs:admission", "runs:limits")]


def place(
    owner: str = "o",
    service: str = "w",
    key: str = "",
    *,
    own: tuple[int | None, int | None] = (None, None),
    nested: bool = False,
    **limits: Any,
) -> LimitScope:
    return limit_scope(Settings(**limits), owner, key, service, own, nested=nested)


@asynccontextmanager
async def slot(admission: Admission, where: LimitScope, priority: int = USUAL) -> AsyncGenerator[None]:
    if not admission.claim(where):
        await admission.wait(where, admission.ticket(priority))
    try:
        yield
    finally:
        admission.leave(where)


class Crowd:
    """Runs that note when they begin and go on until they are let go."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.order: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def add(self, name: str, where: LimitScope, priority: int = USUAL) -> None:
        self._ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._run(name, where, priority))
        await asyncio.sleep(0)

    async def _run(self, name: str, where: LimitScope, priority: int) -> None:
        async with slot(self.admission, where, priority):
            self.order.append(name)
            await self._ends[name].wait()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self.tasks[name]
        await asyncio.sleep(0)

    async def end_all(self) -> list[str]:
        """One after the other, in the order in which they began; that order."""
        ended = 0
        while ended < len(self.tasks):
            await until_async(lambda ended=ended: len(self.order) > ended)
            await self.end(self.order[ended])
            ended += 1
        assert (self.admission.active, self.admission.queued) == (0, 0)
        return self.order


async def test_the_limit_holds_and_runs_alike_are_served_in_order() -> None:
    crowd = Crowd(Admission())
    for number in range(6):
        await crowd.add(str(number), place(concurrency=2))
    assert crowd.order == ["0", "1"]
    assert (crowd.admission.active, crowd.admission.queued) == (2, 4)
    assert await crowd.end_all() == list("012345")


async def test_owners_do_not_wait_for_each_other() -> None:
    crowd = Crowd(Admission())
    for owner in "ab":
        await crowd.add(owner, place(owner, concurrency=1))
    assert crowd.order == ["a", "b"]
    await crowd.end_all()


@pytest.mark.parametrize(
    ("limits", "own", "first", "other"),
    [
        ({"key_concurrency": 1}, (None, None), ("o", "w", "k1"), ("o", "w", "k2")),
        ({"workflow_concurrency": 1}, (None, None), ("o", "w"), ("o", "v")),
        ({}, (1, None), ("o", "w"), ("o", "v")),
        ({"concurrency": 1}, (None, None), ("o", "w"), ("p", "w")),
    ],
    ids=["key", "workflow", "header", "caller"],
)
async def test_each_limit_holds_back_its_own_and_nobody_else(
    limits: dict[str, Any], own: tuple[int | None, int | None], first: tuple[str, ...], other: tuple[str, ...]
) -> None:
    crowd = Crowd(Admission())
    for name, who in (("first", first), ("second", first), ("other", other)):
        await crowd.add(name, place(*who, own=own, **limits))
    assert crowd.order == ["first", "other"]
    assert await crowd.end_all() == ["first", "other", "second"]


async def test_the_homes_limit_holds_over_callers_and_names_itself() -> None:
    crowd = Crowd(Admission())
    for owner in "abc":
        await crowd.add(owner, place(owner, home_concurrency=2))
    assert crowd.order == ["a", "b"]
    full = crowd.admission.full(place("d", home_concurrency=2))
    assert full is not None
    assert full.scope == "home"
    await crowd.end_all()


async def test_a_long_line_of_one_workflow_does_not_hold_up_another() -> None:
    crowd = Crowd(Admission())
    for number in range(6):
        await crowd.add(f"a{number}", place(service="a", concurrency=2))
    for number in range(2):
        await crowd.add(f"b{number}", place(service="b", concurrency=2))
    order = await crowd.end_all()
    assert order[:4] == ["a0", "a1", "b0", "a2"]  # b has none running: it is next
    assert order.index("b1") < order.index("a4")


async def test_a_workflow_at_its_own_limit_does_not_hold_up_its_callers_other_work() -> None:
    crowd = Crowd(Admission())
    for number in range(3):
        await crowd.add(f"a{number}", place(service="a", own=(1, None), concurrency=2))
    await crowd.add("b", place(service="b", concurrency=2))
    assert crowd.order == ["a0", "b"]
    await crowd.end_all()


async def test_a_long_line_of_one_caller_does_not_hold_up_another() -> None:
    crowd = Crowd(Admission())
    for number in range(5):
        await crowd.add(f"a{number}", place("a", home_concurrency=2))
    await crowd.add("b0", place("b", home_concurrency=2))
    await crowd.end("a0")
    assert crowd.order == ["a0", "a1", "b0"]
    await crowd.end_all()


async def test_a_caller_s_urgent_runs_are_first_among_its_own() -> None:
    crowd = Crowd(Admission())
    await crowd.add("now", place(concurrency=1))
    for name, priority in (("late", 90), ("usual", 50), ("urgent", 1)):
        await crowd.add(name, place(service=name, concurrency=1), priority)
    assert await crowd.end_all() == ["now", "urgent", "usual", "late"]


async def test_a_cancelled_wait_leaves_the_line_and_a_slot_in_its_hands_is_passed_on() -> None:
    crowd = Crowd(Admission())
    for name in ("first", "second", "third"):
        await crowd.add(name, place(concurrency=1))
    crowd.tasks["second"].cancel()
    await asyncio.gather(crowd.tasks["second"], return_exceptions=True)
    assert crowd.admission.queued == 1
    crowd.tasks["first"].cancel()  # gives its slot to the third, which is cancelled before it knows
    await until_async(lambda: crowd.admission.queued == 0)
    crowd.tasks["third"].cancel()
    await asyncio.gather(*crowd.tasks.values(), return_exceptions=True)
    assert (crowd.admission.active, crowd.admission.queued) == (0, 0)


async def test_nested_runs_never_wait_for_their_callers_slot_and_have_a_bound_of_their_own() -> None:
    admission, nested = Admission(), place(concurrency=2, nested=True)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(slot(admission, place(concurrency=2)))
        for _ in range(2 * NESTED_FACTOR - 2):
            await stack.enter_async_context(slot(admission, nested))
        with pytest.raises(TooBusy) as caught:
            admission.claim(nested)
        assert caught.value.details()["limit"] == "caller"
    assert admission.active == 0


async def test_a_workflow_s_own_limit_holds_for_nested_runs_too() -> None:
    crowd = Crowd(Admission())
    await crowd.add("first", place(own=(1, None)))
    await crowd.add("nested", place(own=(1, None), nested=True))
    assert crowd.order == ["first"]
    assert await crowd.end_all() == ["first", "nested"]


async def test_what_other_processes_hold_counts_and_a_run_comes_back_to_its_place() -> None:
    admission, where = Admission(), place(service="w", own=(1, None))
    admission.set_elsewhere({("workflow", "w"): 1})
    assert not admission.claim(where)
    first, second = admission.ticket(), admission.ticket()
    waits = [asyncio.create_task(admission.wait(where, ticket)) for ticket in (second, first)]
    await asyncio.sleep(0)
    assert not any(wait.done() for wait in waits)
    admission.set_elsewhere({})
    await until_async(waits[1].done)
    assert not waits[0].done()
    admission.leave(where)
    await waits[0]
    admission.leave(where)
    assert admission.active == 0


@pytest.mark.requirement("runs:line")
async def test_a_slot_that_is_returned_for_now_goes_to_no_run_behind() -> None:
    admission, where = Admission(), place(concurrency=1)
    assert admission.claim(where)
    usual, last = admission.ticket(50), admission.ticket(90)
    granted = [asyncio.create_task(admission.wait(where, ticket)) for ticket in (usual, last)]
    await asyncio.sleep(0)
    admission.leave(where)
    await granted[0]

    await admission.wait(where, usual, returns_slot=True)
    assert not granted[1].done()
    assert (admission.active, admission.queued) == (1, 1)
    admission.leave(where)
    await granted[1]
    admission.leave(where)
    assert (admission.active, admission.queued) == (0, 0)
