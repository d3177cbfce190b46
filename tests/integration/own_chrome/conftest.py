"""One runtime, one Chromium with the extension, one site: paired, and the site allowed."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.integration.own_chrome.chrome import Chrome
from tests.integration.own_chrome.helpers import begin
from tests.integration.own_chrome.site import Site
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.needs import require
from tests.support.runtime import make_home

from codewords_mcp.runtime.browser.actions import Navigate
from codewords_mcp.settings import Settings


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
    require("chromium")
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
