"""The runtimes that tests of triggers share, and a site that event sources look at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.integration.triggers.helpers import KEEPS, FeedSite
from tests.support.loopback_site import StandIn, serving
from tests.support.runtime import deploy, make_home, open_runtime

from codewords_mcp.runtime.api.runtime import Runtime


@pytest.fixture(scope="module")
def site() -> Iterator[StandIn]:
    yield from serving(StandIn())


@pytest.fixture
def feeds(site: StandIn) -> FeedSite:
    feeds = FeedSite()
    site.answer = feeds.answer
    return feeds


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
async def runtime(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, site: StandIn
) -> AsyncIterator[Runtime]:
    """One on each database, which may reach the site."""
    home = make_home(tmp_path_factory.mktemp("home"))
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    allowed = [site.url.removeprefix("http://")]
    async with open_runtime(
        home, database_url=url, egress_allow_private=allowed, shares_driver=True
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
async def keeps(runtime: Runtime) -> str:
    return await deploy(runtime, KEEPS)
