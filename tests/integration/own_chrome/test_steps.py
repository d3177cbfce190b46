"""What can be done in a person's own Chrome, and in which words it fails."""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import Any

import pytest
from pydantic import TypeAdapter
from tests.integration.own_chrome.chrome import PAGES, Chrome, press, until
from tests.integration.own_chrome.helpers import begin
from tests.integration.own_chrome.site import Site
from tests.support.http_runtime import Door

from codewords_mcp.errors import NotAgreed
from codewords_mcp.runtime.browser.actions import Action
from codewords_mcp.runtime.browser.base import BrowserGone, StepFailed, StepOutcome, Tab

pytestmark = [pytest.mark.slow, pytest.mark.requirement("chrome:steps")]
_ACTION: TypeAdapter[Any] = TypeAdapter(Action)


async def do(tab: Tab, kind: str, seconds: float = 20, **more: Any) -> StepOutcome:
    return await tab.act(_ACTION.validate_python({"type": kind} | more), seconds)


def test_each_step_does_what_a_person_would(door: Door, chrome: Chrome, site: Site) -> None:
    async def work(tab: Tab) -> None:
        went = await do(tab, "navigate", url=f"{site.url}/form")
        assert (went.url, went.title) == (f"{site.url}/form", "Form")
        assert went.values["status"] == 200
        await do(tab, "type", selector="[name=name]", text="Ada")
        assert (await do(tab, "extract", selector="#heard")).values["text"] == "heard Ada"
        await do(tab, "type", selector="[name=name]", text=" Lovelace", clear=False)
        await do(tab, "type", selector="textarea", text="two\nlines")
        await do(tab, "select", selector="select", value="Large")
        await do(tab, "click", selector="[type=checkbox]")
        await do(tab, "click", selector="#later")
        assert (await do(tab, "extract", selector="#heard")).values["text"] == "later"
        await do(tab, "press", key="Escape")
        assert (await do(tab, "extract", selector="#heard")).values["items"] == ["escaped"]
        sent = await do(tab, "click", selector="form button")
        assert sent.title == "thanks"
        assert sent.url.endswith("/thanks?name=Ada+Lovelace&note=two%0D%0Alines&size=l&gift=on")
        back = await do(tab, "back")
        assert back.title == "Form"
        submitted = await do(tab, "type", selector="[name=name]", text="again", submit=True)
        assert "name=again" in submitted.url
        await do(tab, "back")
        listed = await do(tab, "click", selector="a[target]")
        assert listed.title == "List"
        await do(tab, "wait", selector="#late")
        await do(tab, "wait", time=0.01)
        items = (await do(tab, "extract", selector=".item")).values
        assert items["items"] == [f"Item {n}" for n in range(12)]
        assert items["text"].startswith("Item 0\nItem 1\n")
        links = (await do(tab, "extract", selector="li a", attribute="href")).values["items"]
        assert links[:2] == ["/item/0", "/item/1"]
        assert "Item 3" in (await do(tab, "extract")).values["text"]
        assert (await do(tab, "extract_html", selector="#late")).values["html"] == '<p id="late">late</p>'
        assert (await do(tab, "extract_html")).values["html"].startswith("<!DOCTYPE html>\n<html")
        await do(tab, "scroll", selector="li:last-child")
        await do(tab, "scroll", direction="top")
        await do(tab, "scroll", amount=120)
        assert (await do(tab, "navigate", url=f"{site.url}/list#late")).url.endswith("#late")
        assert (await do(tab, "navigate", url=f"{site.url}/missing")).values["status"] == 404

    begin(door, work).result(60)


def test_an_outline_names_what_can_be_acted_on_in_frames_too(door: Door, chrome: Chrome, site: Site) -> None:
    async def work(tab: Tab) -> None:
        await do(tab, "navigate", url=f"{site.url}/form")
        seen = await tab.snapshot(10_000)
        assert '- heading "Order" [level=1]' in seen.text
        assert not seen.truncated
        refs = {
            line.split('"')[1]: line.partition("[ref=")[2].partition("]")[0]
            for line in seen.text.splitlines()
            if "[ref=" in line
        }
        await do(tab, "type", ref=refs["Name"], text="by ref")
        assert (await do(tab, "extract", selector="#heard")).values["text"] == "heard by ref"
        again = await tab.snapshot(10_000)
        assert ": by ref" in again.text
        await do(tab, "navigate", url=f"{site.url}/framed")
        with pytest.raises(StepFailed, match="last snapshot") as stale:
            await do(tab, "click", ref=refs["Name"])
        assert stale.value.reason == "no_element"
        inside = (await tab.snapshot(10_000)).text
        assert '- iframe "Inner":\n  - button "Press me" [ref=f' in inside, inside
        await do(tab, "click", ref=inside.partition('"Press me" [ref=')[2].partition("]")[0])
        assert '"Pressed"' in (await tab.snapshot(10_000)).text
        short = await tab.snapshot(30)
        assert (short.truncated, len(short.text)) == (True, 30)

    begin(door, work).result(60)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ({"type": "click", "selector": "#nothing"}, "no_element"),
        ({"type": "click", "selector": "a["}, "bad_step"),
        ({"type": "extract", "selector": "#nothing"}, "no_element"),
        ({"type": "type", "selector": "h1", "text": "x"}, "not_ready"),
        ({"type": "select", "selector": "select", "value": "Huge"}, "no_element"),
        ({"type": "press", "key": "Hyper"}, "bad_step"),
        ({"type": "wait", "selector": "#nothing"}, "no_element"),
        ({"type": "navigate", "url": "http://127.0.0.1:1/"}, "refused"),
        ({"type": "navigate", "url": "chrome://settings"}, "bad_step"),
    ],
)
def test_what_does_not_work_out_says_why(
    door: Door, chrome: Chrome, site: Site, step: dict[str, Any], reason: str
) -> None:
    async def work(tab: Tab) -> None:
        await do(tab, "navigate", url=f"{site.url}/form")
        with pytest.raises(StepFailed) as failed:
            await do(tab, seconds=1, kind=step["type"], **{k: v for k, v in step.items() if k != "type"})
        assert failed.value.reason == reason, failed.value.message
        assert (await do(tab, "extract", selector="h1")).values["text"] == "Order", (
            "the tab is as good as before"
        )

    begin(door, work).result(60)


def test_a_tab_without_a_page_says_so(door: Door, chrome: Chrome) -> None:
    async def work(tab: Tab) -> str:
        with pytest.raises(StepFailed) as failed:
            await do(tab, "extract")
        return failed.value.reason

    assert begin(door, work).result(60) == "no_page"


def test_pictures_are_asked_for_once_and_may_be_of_the_whole_page(
    door: Door, chrome: Chrome, site: Site
) -> None:
    async def work(tab: Tab) -> tuple[bytes, bytes]:
        await do(tab, "navigate", url=f"{site.url}/list")
        small = await do(tab, "screenshot")
        large = await do(tab, "screenshot", full_page=True)
        return base64.b64decode(small.values["screenshot"]), base64.b64decode(large.values["screenshot"])

    taking = begin(door, work)
    page = chrome.open_at(f"{PAGES}/ask.html")
    until(lambda: "take pictures" in page.value("document.body.innerText"), "the question")
    press(page, "#allow")
    small, large = taking.result(60)
    assert small[:8] == large[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", large[20:24])[0] > 2000 > struct.unpack(">I", small[20:24])[0] > 300


def test_a_cancelled_step_leaves_the_tab_usable(door: Door, chrome: Chrome, site: Site) -> None:
    async def work(tab: Tab) -> str:
        await do(tab, "navigate", url=f"{site.url}/form")
        waiting = asyncio.ensure_future(do(tab, "wait", selector="#nothing", seconds=30))
        await asyncio.sleep(0.2)
        waiting.cancel()
        await asyncio.wait({waiting})
        return str((await do(tab, "extract", selector="h1")).values["text"])

    assert begin(door, work).result(60) == "Order"


def test_the_person_ends_it_by_stop_and_by_closing_the_window(door: Door, chrome: Chrome, site: Site) -> None:
    async def work(tab: Tab) -> None:
        await do(tab, "navigate", url=f"{site.url}/form")
        await do(tab, "wait", selector="#nothing", seconds=30)

    waiting = begin(door, work, run_id="stopped")
    popup = chrome.popup()
    shown = "document.querySelector('#running').hidden ? '' : document.querySelector('#running').innerText"
    until(lambda: "wait #nothing" in popup.value(shown), "the popup to show the step")
    press(popup, "#stop")
    with pytest.raises(BrowserGone, match="pressed Stop"):
        waiting.result(120)
    until(
        lambda: popup.value("document.querySelector('#running').hidden"),
        "the popup to show that nothing runs",
    )

    with pytest.raises(NotAgreed, match="pressed Stop"):
        begin(door, work, run_id="stopped").result(120)

    def pages() -> set[str]:
        return {
            t["targetId"] for t in chrome.targets() if t["type"] == "page" and t["url"] == f"{site.url}/form"
        }

    assert pages() == set(), "no window is left"
    waiting = begin(door, work)
    until(pages, "the window")
    until(lambda: "wait #nothing" in popup.value(shown), "the step")
    chrome.close(*pages())
    with pytest.raises(BrowserGone, match="was closed"):
        waiting.result(120)
    assert pages() == set()
