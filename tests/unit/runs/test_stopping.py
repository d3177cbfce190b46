"""What waits for news without end ends when it is told to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.databases import open_database
from tests.support.waiting import until_async

from codewords_mcp.runtime.runs.scheduler import Scheduler

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("serve:stop-takes")
@pytest.mark.parametrize("steps", range(4))
async def test_a_stop_takes_though_news_comes_at_the_same_moment(tmp_path: Path, steps: int) -> None:
    """`asyncio.wait_for` of Python 3.11 loses a cancellation that comes between the news and whoever waits for it."""
    database = open_database(tmp_path)
    ticker = Scheduler(cast("Any", SimpleNamespace(database=database)), cast("Any", None), lambda: None)
    woken: Any = ticker._woken  # pyright: ignore[reportPrivateUsage]
    running = asyncio.create_task(ticker.run())
    await until_async(lambda: woken._waiters)
    ticker.wake()
    for _ in range(steps):
        await asyncio.sleep(0)
    running.cancel()
    ended, _ = await asyncio.wait({running}, timeout=120)
    assert running in ended
    database.close()
