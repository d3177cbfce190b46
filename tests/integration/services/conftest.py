"""A runtime behind a real server whose services ask stand-ins on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.loopback_site import StandIn, serving
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings
from codewords_testing.services import LoopbackServices, loopback_services


@pytest.fixture(scope="session")
def site() -> Iterator[StandIn]:
    """A web site."""
    yield from serving(StandIn())


@pytest.fixture(scope="session")
def api() -> Iterator[StandIn]:
    """An API that the operator named: every service's."""
    yield from serving(StandIn())


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, site: StandIn, api: StandIn) -> Iterator[Door]:
    """The runtime. Of private addresses only the site's is allowed."""
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("services") / "home"),
            "port": 0,
            "api_key": ADMIN_KEY,
            "firecrawl_base_url": api.url,
            "github_base_url": api.url,
            "max_response_kept": 16384,
            "egress_allow_private": [site.url.removeprefix("http://")],
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
            patch.delenv(name, raising=False)
        with Door(settings) as opened:
            yield opened


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


@pytest.fixture(scope="session")
def upstream() -> Iterator[LoopbackServices]:
    """What services ask, speaking the real protocols."""
    with loopback_services() as services:
        yield services
