"""The door over HTTP under a client of each protocol era."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from mcp import Client
from tests.integration.mcp.fake_runtime import ANN, BOB, FakeRuntime
from tests.support.mcp_clients import Era, over_http, serving
from tests.support.runtime import make_home, open_runtime

from codewords_mcp.mcp_server.limits import ServerLimits
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture(scope="module")
async def real(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Runtime]:
    """A real runtime, one for each module of tests."""
    async with open_runtime(make_home(tmp_path_factory.mktemp("mcp") / "home")) as runtime:
        yield runtime


@pytest.fixture(params=["legacy", "2026-07-28"])
def era(request: pytest.FixtureRequest) -> Era:
    return request.param


@pytest.fixture
def limits() -> ServerLimits:
    """The limits of the server; a test module that needs others overrides this."""
    return ServerLimits()


@pytest.fixture
async def url(runtime: FakeRuntime, settings: Settings, limits: ServerLimits) -> AsyncGenerator[str]:
    """The server over HTTP; the keys of its callers are "ann" and "bob"."""
    async with serving(runtime, settings, {"ann": ANN, "bob": BOB}, limits=limits) as address:
        yield address


@pytest.fixture
async def client(url: str, era: Era) -> AsyncGenerator[Client]:
    """Ann's client over HTTP."""
    async with over_http(url, "ann", era) as connected:
        yield connected
