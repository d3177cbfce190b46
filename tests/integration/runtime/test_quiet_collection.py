"""Garbage of requests is collected when nobody waits for a run."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
from tests.support.background_runs import cancel, says, start
from tests.support.runtime import finished
from tests.support.waiting import until_async

from codewords_mcp.common.quiet_collection import DUE
from codewords_mcp.runtime.api.runtime import Runtime

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


class Node:
    """Refers to itself, so that only the collector removes it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def without_collections() -> Iterator[None]:
    """Python does not collect by itself."""
    before = gc.get_threshold()
    gc.set_threshold(1_000_000_000)
    yield
    gc.set_threshold(*before)


@pytest.mark.requirement("runs:quiet-collection")
@pytest.mark.usefixtures("without_collections")
async def test_garbage_is_collected_once_nobody_waits_for_a_run(runtime: Runtime, work: str) -> None:
    holder = await start(runtime, work, "holder", seconds=600)
    await says(runtime, holder, "began")
    nodes = [Node() for _ in range(DUE + 1000)]
    garbage = weakref.ref(nodes.pop())
    nodes.clear()
    await finished(runtime, await start(runtime, work, "while another one goes on"))
    assert garbage() is not None

    await cancel(runtime, holder)

    async def collected() -> bool:
        return garbage() is None

    await until_async(collected)
