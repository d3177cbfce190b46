"""Tasks that go on for ever are ended, also where a cancel is lost."""

from __future__ import annotations

import asyncio

import pytest

from codewords_mcp.common.cancellation import end

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("runs:stops")
async def test_a_loop_that_lost_its_cancel_is_ended_all_the_same() -> None:
    lost = 0

    async def loses_cancels() -> None:
        nonlocal lost
        while lost < 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
        await asyncio.sleep(60)

    async def fails() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("as it ends")

    tasks = [asyncio.create_task(loses_cancels()), asyncio.create_task(fails())]
    await asyncio.sleep(0)
    await end(tasks, retry_interval=0.01)
    assert lost == 3
    assert tasks[0].cancelled()
    assert isinstance(tasks[1].exception(), ValueError)
    await end(tasks)  # what has ended is left alone
