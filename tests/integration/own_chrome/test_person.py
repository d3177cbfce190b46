"""What the person in front of their Chrome decides, and what no workflow gets at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.own_chrome.chrome import PAGES, Chrome, press, until
from tests.integration.own_chrome.helpers import begin
from tests.integration.own_chrome.site import Site
from tests.support.http_runtime import Door

from codewords_mcp.runtime.browser.actions import Click, Extract, Navigate
from codewords_mcp.runtime.browser.base import StepFailed, Tab

pytestmark = [pytest.mark.slow, pytest.mark.requirement("chrome:person")]


def to(url: str) -> Navigate:
    return Navigate(type="navigate", url=url)


def going(door: Door, url: str, seconds: float = 20, **how: Any) -> Any:
    async def work(tab: Tab) -> tuple[str, str]:
        try:
            return "went", (await tab.act(to(url), seconds)).url
        except StepFailed as failed:
            return failed.reason, failed.message

    return begin(door, work, **how)


def test_a_site_is_asked_about_once_and_a_no_is_told(door: Door, chrome: Chrome, site: Site) -> None:
    other = site.url.replace("127.0.0.1", "asked.localhost")
    name = other.partition("://")[2]
    refused = going(door, f"{other}/form")
    page = chrome.open_at(f"{PAGES}/ask.html")
    until(lambda: page.value("document.querySelector('#site')?.textContent") == name, "the question")
    assert page.value("document.querySelector('#by').textContent") == "a program with your key"
    press(page, "#refuse")
    assert refused.result(120) == ("refused", f"The person in front of this Chrome does not allow {name}.")
    assert not [path for path in site.asked if "asked" in path]

    late = going(door, f"{other}/form", seconds=0.5)
    assert late.result(120)[0] == "refused"
    assert "was not allowed in time" in late.result()[1]
    popup = chrome.popup()
    until(lambda: name in popup.value("document.querySelector('#asked').innerText"), "the popup to ask too")
    press(popup, "#asked button")
    until(lambda: name in popup.value("document.querySelector('#sites').innerText"), "the site to be allowed")
    assert going(door, f"{other}/form").result(120) == ("went", f"{other}/form"), "nobody is asked again"

    position = (
        f"[...document.querySelectorAll('#sites li')].findIndex(li => li.innerText.includes('{name}')) + 1"
    )
    press(popup, f"#sites li:nth-child({popup.value(position)}) button")
    until(
        lambda: name not in popup.value("document.querySelector('#sites').innerText"),
        "the site to be removed",
    )
    assert going(door, f"{other}/form", seconds=0.5).result(120)[0] == "refused"


def test_a_redirect_to_another_site_is_asked_about_before_it_is_read(
    door: Door, chrome: Chrome, site: Site
) -> None:
    led = going(door, f"{site.url}/elsewhere")
    chrome.allow(site.host.replace("127.0.0.1", "localhost"))
    assert led.result(120) == ("went", f"{site.url.replace('127.0.0.1', 'localhost')}/list")


def test_a_workflow_stays_within_its_hosts_whatever_its_person_allows(
    door: Door, chrome: Chrome, site: Site
) -> None:
    reason, message = going(door, f"{site.url}/form", hosts=("example.com", "*.example.org")).result(120)
    assert reason == "refused"
    assert f"{site.host} is not among the hosts" in message
    assert going(door, f"{site.url}/form", hosts=("127.0.0.1",)).result(120)[0] == "went"


def test_the_runtimes_own_pages_are_nobodys_to_act_on(
    door: Door, http: httpx.Client, chrome: Chrome, site: Site
) -> None:
    for name in ("127.0.0.1", "localhost", "codewords.localhost"):
        reason, message = going(door, f"http://{name}:{door.port}/docs").result(120)
        assert (reason, "a person's" in message) == ("refused", True)

    async def work(tab: Tab) -> str:
        """By a link of a page that is allowed."""
        await tab.act(to(f"{site.url}/leads-to?{door.url}/healthz"), 20)
        await tab.act(Click(type="click", selector="#query a"), 20)
        with pytest.raises(StepFailed) as failed:
            await tab.act(Extract(type="extract"), 2)
        return failed.value.message

    assert "The runtime's own pages" in begin(door, work).result(120)


def test_other_windows_are_left_alone(door: Door, chrome: Chrome, site: Site) -> None:
    mine = chrome.page(f"{site.url}/list?mine")

    def pages() -> dict[str, str]:
        return {t["targetId"]: t["url"] for t in chrome.targets() if t["type"] == "page"}

    # A session's window goes away after the session has ended: that of the fixture, and the one below.
    until(lambda: f"{site.url}/form" not in pages().values(), "the window of the session before to close")
    before = pages()
    assert going(door, f"{site.url}/form").result(120)[0] == "went"
    until(lambda: pages() == before, "the window of the session to close, and no other")
    assert mine.value("globalThis.codewords === undefined") is True


def test_what_chrome_itself_has_not_permitted_is_neither_seen_nor_acted_on(
    door: Door, http: httpx.Client, site: Site, tmp_path: Path
) -> None:
    chrome = Chrome(tmp_path, granted="*://127.0.0.1/*")
    try:
        assert chrome.pair(http.post("/browser/pair").json()["url"]).startswith("Connected to")
        led = going(door, f"{site.url}/elsewhere", seconds=5)
        chrome.allow(site.host)
        reason, message = led.result(120)
        assert (reason, "Navigate to that site itself" in message) == ("refused", True), message
        other = site.url.replace("127.0.0.1", "other.localhost")
        asking = going(door, f"{other}/form", seconds=3)
        chrome.allow(other.partition("://")[2])  # now Chrome asks, and nobody answers it
        assert asking.result(120)[0] == "refused"
    finally:
        chrome.stop()
        http.delete("/browser")
