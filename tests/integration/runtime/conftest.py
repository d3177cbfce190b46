"""The runtime that tests of background runs share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.background_runs import WORK
from tests.support.runtime import deploy, make_home, open_runtime

from codewords_mcp.runtime.api.runtime import Runtime


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
async def runtime(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Runtime]:
    """Two runs at once, four in line; on each database."""
    home = make_home(tmp_path_factory.mktemp("home"))
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    async with open_runtime(
        home, concurrency=2, queue_limit=4, database_url=url, shares_driver=True
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
async def work(runtime: Runtime) -> str:
    return await deploy(runtime, WORK)
