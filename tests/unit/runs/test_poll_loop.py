"""Loops over what is due: a row that fails holds up no other."""

from __future__ import annotations

import asyncio

import pytest

from codewords_mcp.runtime.runs.poll_loop import PollLoop, finish_all

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("triggers:one-fails")]


class Rows(PollLoop):
    """Three rows are due; the first fails at each poll, and the others take longer than that."""

    def __init__(self) -> None:
        super().__init__("rows are not done", after_failure=0)
        self.done: list[int] = []
        self.polls = 0
        self.went_on = asyncio.Event()

    async def poll(self) -> float:
        self.polls += 1
        if self.polls > 2:
            self.went_on.set()
        await finish_all(self._do(number) for number in range(3))
        return 60

    async def _do(self, number: int) -> None:
        if number == 0:
            raise ValueError("a damaged row")
        await asyncio.sleep(0)
        self.done.append(number)


async def test_a_row_that_fails_lets_the_others_be_done_and_the_loop_go_on() -> None:
    rows = Rows()
    with pytest.raises(ValueError, match="a damaged row"):
        await rows.poll()
    assert rows.done == [1, 2]

    running = asyncio.create_task(rows.run())
    async with asyncio.timeout(60):
        await rows.went_on.wait()
    running.cancel()
    assert rows.done[:4] == [1, 2, 1, 2]


async def test_whoever_is_cancelled_ends_what_it_began() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def one() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    finishing = asyncio.create_task(finish_all([one()]))
    await began.wait()
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finishing
    assert ended.is_set()
