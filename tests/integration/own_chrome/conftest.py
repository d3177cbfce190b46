"""One runtime, one Chromium with the extension, one site: paired, and the site allowed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any

import httpx
import pytest
from tests.integration.own_chrome.chrome import Chrome
from tests.integration.own_chrome.site import Site
from tests.support.chromium import executable
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.browser.actions import Navigate
from codewords_mcp.runtime.browser.base import BrowserUser, Tab
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.settings import Settings

ADMIN = Caller("local", "admin")
_RUNS = itertools.count(1)
Work = Callable[[Tab], Coroutine[Any, Any, Any]]


@pytest.fixture(scope="package")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    settings = {"home": make_home(tmp_path_factory.mktemp("home")), "port": 0, "api_key": ADMIN_KEY}
    with Door(Settings.model_validate(settings)) as opened:
        yield opened


@pytest.fixture(scope="package")
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture(scope="package")
def unpaired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    if executable() is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    chrome = Chrome(tmp_path_factory.mktemp("chrome"))
    yield chrome
    chrome.stop()


@pytest.fixture
def chrome(unpaired: Chrome, http: httpx.Client, door: Door, site: Site) -> Chrome:
    if not http.get("/browser").json()["connected"]:
        assert unpaired.pair(http.post("/browser/pair").json()["url"]).startswith("Connected to")
    visiting = begin(door, lambda tab: tab.act(Navigate(type="navigate", url=f"{site.url}/form"), 30))
    if unpaired.asks(visiting):
        unpaired.allow(site.host)
    visiting.result(60)
    return unpaired


async def visit(
    runtime: Runtime, work: Work, *, hosts: tuple[str, ...] | None = None, run_id: str | None = None
) -> Any:
    """Do something in a tab of a session, which is closed then."""
    visitor = BrowserUser(ADMIN, run_id or f"run_{next(_RUNS)}", hosts, own=True)
    session = await runtime._container.own_chrome.open(visitor)  # pyright: ignore[reportPrivateUsage]
    try:
        return await work(await session.open_tab())
    finally:
        await session.close()


def begin(door: Door, work: Work, **how: Any) -> Future[Any]:
    """The same on its way."""
    visiting = visit(door.runtime, work, **how)
    return asyncio.run_coroutine_threadsafe(visiting, door._loop)  # pyright: ignore[reportPrivateUsage]
