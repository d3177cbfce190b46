"""The driver that runtimes of a test session share keeps what the protocol promises each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.shared_driver import DriverShare, SharedDriver

from codewords_mcp.errors import SandboxUnavailable
from codewords_mcp.runtime.sandboxes.base import Driver, EnvironmentRef, Exit, Network
from codewords_mcp.testing.sandboxes import ConformanceCheck, Context, open_context, programs
from codewords_mcp.testing.sandboxes.for_pytest import holds, parametrize

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("structure:shared-driver")]

_CARRIED = ("cancel", "end", "output", "usage", "driver.claims", "driver.closed")
"""Checks of what goes from one event loop to the other."""


@pytest.fixture(scope="module")
async def shared(anyio_backend: str) -> AsyncIterator[SharedDriver]:
    opened = await asyncio.to_thread(SharedDriver)
    yield opened
    await asyncio.to_thread(opened.close)


@pytest.fixture(scope="module")
async def context(environment: EnvironmentRef, shared: SharedDriver) -> AsyncIterator[Context]:
    if shared.driver.tier.id == "D":
        pytest.skip(str(SandboxUnavailable(" ".join(shared.driver.tier.facts))))

    async def share(network: Network | None, _folder: Path) -> Driver:
        assert network is not None
        return DriverShare(shared, network)

    async with open_context(share, environment) as context:
        yield context


@parametrize(only=_CARRIED)
async def test_a_share_of_a_driver_holds(check: ConformanceCheck, context: Context) -> None:
    await holds(check, context)


async def test_a_share_that_closes_ends_its_own_sandboxes_only(context: Context) -> None:
    served = (programs.LITTLE, "serve('served')")
    async with context.another_driver() as (other, _), context.running(*served) as kept:
        program = await context.start(context.spec(*served), driver=other)
        await asyncio.gather(program.ready(), kept.ready())
        await other.close()
        assert await program.ended() == Exit("killed")
        assert await kept.ask() == (200, b"served")
