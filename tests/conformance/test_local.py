"""The local driver keeps every promise of the protocol, as the user who runs the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from codewords_mcp.errors import SandboxUnavailable
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.testing.sandboxes import ConformanceCheck, Context, drivers, open_context
from codewords_mcp.testing.sandboxes.for_pytest import holds, parametrize

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("sandbox:conformance")]


@pytest.fixture(scope="session")
async def context(environment: EnvironmentRef) -> AsyncIterator[Context]:
    try:
        opened = open_context(drivers.local, environment)
        async with opened as context:
            yield context
    except SandboxUnavailable as error:
        pytest.skip(str(error))


@parametrize()
async def test_the_local_driver_holds(check: ConformanceCheck, context: Context) -> None:
    await holds(check, context)
