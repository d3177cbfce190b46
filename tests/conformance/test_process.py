"""The process driver keeps what the protocol promises of a driver without isolation."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.process.driver import ProcessDriver
from codewords_mcp.testing.sandboxes import ConformanceCheck, Context, drivers, open_context
from codewords_mcp.testing.sandboxes.for_pytest import holds, parametrize

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("sandbox:conformance")]


@pytest.fixture(scope="session")
async def context(environment: EnvironmentRef) -> AsyncIterator[Context]:
    async with open_context(drivers.process, environment) as context:
        yield context


@parametrize(driver=ProcessDriver)
async def test_the_process_driver_holds(check: ConformanceCheck, context: Context) -> None:
    await holds(check, context)
