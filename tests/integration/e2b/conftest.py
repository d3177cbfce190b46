"""One loopback E2B for all of these tests, and drivers that have their machines there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.integration.e2b import loopback
from tests.integration.e2b.helpers import OpenDriver
from tests.integration.e2b.programs import spec
from tests.support.runtime import warm_folder

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Network
from codewords_mcp.runtime.sandboxes.e2b.driver import E2BDriver
from codewords_mcp.runtime.sandboxes.e2b.environments import read_pins
from codewords_mcp.testing.sandboxes import build_environment
from codewords_testing.e2b import LoopbackE2B


@pytest.fixture(scope="session")
async def environment(anyio_backend: str) -> EnvironmentRef:
    return await build_environment(warm_folder())


@pytest.fixture(scope="session")
async def cloud(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LoopbackE2B]:
    await loopback.need_machines()
    async with loopback.agent_cloud(tmp_path_factory.mktemp("e2b")) as opened:
        yield opened


@pytest.fixture
def e2b(cloud: LoopbackE2B, monkeypatch: pytest.MonkeyPatch) -> LoopbackE2B:
    """The same cloud, with nothing of earlier tests in its record."""
    monkeypatch.setenv("E2B_API_KEY", cloud.api_key)
    cloud.faults.clear()
    cloud.faults.requests.clear()
    return cloud


@pytest.fixture
async def open_driver(e2b: LoopbackE2B, tmp_path: Path) -> AsyncIterator[OpenDriver]:
    """Opens drivers on one home, by plain URLs; they are closed at the end, and nothing is left in the cloud."""
    async with AsyncExitStack() as stack:

        async def open_(network: Network | None = None, **settings: Any) -> E2BDriver:
            driver = await E2BDriver.open(
                loopback.settings_for(e2b, tmp_path, **settings), network, tmp_path / "run"
            )
            stack.push_async_callback(driver.close)
            return driver

        yield open_
    assert e2b.cloud.sandboxes == {}


@pytest.fixture
async def built(open_driver: OpenDriver, environment: EnvironmentRef, e2b: LoopbackE2B) -> EnvironmentRef:
    """The environment, once E2B has it too."""
    names = read_pins(environment).name("codewords")
    if e2b.cloud.templates.find(names) is None:
        driver = await open_driver()
        await (await driver.start(spec(environment, "print('built')"))).kill()
        await driver.close()
    e2b.faults.requests.clear()
    return environment
