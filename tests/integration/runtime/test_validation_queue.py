"""Code is read one program at a time for each caller, and no caller waits for another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.runtime import ECHO, make_home, open_runtime

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.workflows.validation import checks

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("workflows:turns")]
ANN, BEN = Caller("ann", "user", key_id="a"), Caller("ben", "user", key_id="b")


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with open_runtime(make_home(tmp_path / "home")) as runtime:
        yield runtime


async def test_a_caller_whose_code_is_slow_to_read_holds_up_nobody_else(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, most, held = 0, 0, asyncio.Event()
    begun = asyncio.Event()
    look = checks._Work._inspect  # pyright: ignore[reportPrivateUsage]

    async def slow(self: Any, script: Any) -> None:
        nonlocal reading, most
        if "slow" in script.code:
            reading += 1
            most = max(most, reading)
            begun.set()
            await held.wait()
            reading -= 1
        await look(self, script)

    monkeypatch.setattr(checks._Work, "_inspect", slow)  # pyright: ignore[reportPrivateUsage]
    waiting = [
        asyncio.create_task(runtime.authoring.validate(ANN, f"{ECHO}\n# slow {n}\n")) for n in range(3)
    ]
    await begun.wait()
    async with asyncio.timeout(60):
        assert (await runtime.authoring.validate(BEN, ECHO)).all_passed
    assert not any(task.done() for task in waiting)
    held.set()
    assert all(report.all_passed for report in await asyncio.gather(*waiting))
    assert most == 1
