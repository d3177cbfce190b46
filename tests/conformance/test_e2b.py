"""The E2B driver keeps every promise of the protocol, with the real SDK, in machines of the loopback E2B."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.integration.e2b import loopback

from codewords_mcp.runtime.sandboxes.base import Capability, Driver, EnvironmentRef, Tier
from codewords_mcp.testing.sandboxes import ConformanceCheck, Context, open_context
from codewords_mcp.testing.sandboxes.for_pytest import holds, parametrize

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.requirement("sandbox:conformance", "e2b:conformance"),
]


class Claims(Driver):
    """What the driver says once a machine has told what is in it.

    The suite's network is one that only this machine can serve, so that connections do not come with their addresses.
    """

    tier = Tier("V", "")
    capabilities = frozenset(Capability) - {Capability.TRANSPARENT_EGRESS}


@pytest.fixture(scope="session")
async def context(
    environment: EnvironmentRef, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Context]:
    await loopback.need_machines()
    with pytest.MonkeyPatch.context() as patch:
        async with loopback.agent_cloud(tmp_path_factory.mktemp("e2b")) as e2b:
            for name, value in e2b.environment.items():
                patch.setenv(name, value)
            async with open_context(loopback.make_driver, environment) as context:
                await (await context.driver.start(context.spec("print('the first one builds')"))).kill()
                yield context


@parametrize(driver=Claims)
async def test_the_e2b_driver_holds(check: ConformanceCheck, context: Context) -> None:
    await holds(check, context)
