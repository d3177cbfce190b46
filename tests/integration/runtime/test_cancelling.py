"""Cancelling: what is told where a run's own end comes first."""

from __future__ import annotations

import pytest
from tests.support.runtime import ADMIN, ECHO, deploy, fetch

from codewords_mcp.errors import Conflict
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.run import Run

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("runs:cancel")
async def test_a_cancel_that_comes_as_the_run_ends_says_that_it_came_too_late(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo = await deploy(runtime, ECHO)
    provisioned = await runtime.runs.provision(ADMIN)

    async def run_to_its_end(_: Run) -> None:
        await fetch(runtime, echo, {"a": 1}, request_id=provisioned)

    monkeypatch.setattr(runtime._container.dispatcher._canceller, "_cancel", run_to_its_end)  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(Conflict, match="has already ended \\(succeeded\\)"):
        await runtime.runs.cancel(ADMIN, provisioned)
