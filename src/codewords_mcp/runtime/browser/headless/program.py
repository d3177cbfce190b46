# /// script
# requires-python = ">=3.11"
# dependencies = ["playwright==1.65.2", "uvicorn==0.34.2"]
# ///
"""Moves Chromium, in a sandbox, for `session.py`: never imported there, but run as a workflow's program is.

POST / with JSON `{"do": "open" | "act" | "snapshot" | "close", "tab", …}` answers `{"given": …}` or `{"failed": code}`; both
ends know the shapes below, and no text of a page travels but as a value. Playwright is the hand; its own waiting for
elements that can be clicked is what makes steps reliable.
"""

# pyright: basic, reportMissingImports=false
# Playwright is in the sandbox's environment, not in the runtime's.
from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import pathlib
import re
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from playwright.async_api import (
    BrowserContext,
    Dialog,
    Error,
    Locator,
    Page,
    Response,
    async_playwright,
)
from playwright.async_api import TimeoutError as Late

Json = dict[str, Any]
LOAD_WAIT = 5.0
"""Seconds that a page whose document is there may go on loading before the next step."""
POPUP_WAIT = 5.0
"""Seconds that a page which a link opens beside this one may take to be there."""
HEALTH = 2.0
"""Seconds in which a page whose step took too long must show that it still answers."""
MAX_PAGES = 10
"""Pages that one tab may have opened at a time; further ones are closed at once."""
MAX_ITEMS = 1000
_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir>
<cachedir>/var/cache/fontconfig</cachedir><cachedir>/tmp/fonts</cachedir></fontconfig>"""
_HTML = "(e, most) => { const h = e.outerHTML; return h.length > most ? null : h }"
_TEXT = """(all, [most, name, limit]) => { const found = all.slice(0, most).map(e => name ? e.getAttribute(name) : e.innerText)
    .map(t => t == null ? '' : String(t)); const fit = found.reduce((n, t) => n + t.length, 0) <= limit;
    return { items: fit ? found : null, title: String(document.title) } }"""
_SCROLL = """([way, amount]) => { const by = amount || window.innerHeight, end = document.documentElement.scrollHeight;
    if (way == 'top' || way == 'bottom') window.scrollTo(0, way == 'top' ? 0 : end);
    else window.scrollBy(0, way == 'up' ? -by : by) }"""
_OPENS = "e => !!e.closest('a[target=_blank], form[target=_blank]')"
_NET = re.compile(r"net::(ERR_[A-Z0-9_]+)")


class ProgramStepFailed(Exception):
    """A step that did not work out: a code, and of the network the browser's own."""

    def __init__(self, code: str, net: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.net = net


class ProgramTab:
    """One tab of a caller: the pages that were opened in it, the last of which is the current one."""

    def __init__(self, page: Page) -> None:
        self.lock = asyncio.Lock()
        self.notes: list[str] = []
        self.pages: list[Page] = []
        self._crashed = False
        self._take(page)

    @property
    def page(self) -> Page:
        """The current page."""
        return self.pages[-1]

    def _take(self, page: Page) -> None:
        self.pages.append(page)
        page.on("popup", self._opened)
        page.on("dialog", self._on_dialog)
        page.on("download", self._on_download)
        page.on("crash", self._on_crash)
        page.on("close", self._closed)

    def _on_download(self, _: object) -> None:
        self.note("download")

    def _on_crash(self, _: object) -> None:
        self._crashed = True

    def note(self, what: str) -> None:
        """Note a side effect of the step."""
        # A page may open dialogs without end.
        if len(self.notes) < 20 and what not in self.notes:
            self.notes.append(what)

    def _opened(self, page: Page) -> None:
        # A page may open others without end.
        if len(self.pages) >= MAX_PAGES:
            _soon(page.close())
            return
        self.note("opened")
        self._take(page)

    def _closed(self, page: Page) -> None:
        if page in self.pages and len(self.pages) > 1:
            self.pages.remove(page)

    def _on_dialog(self, dialog: Dialog) -> None:
        self.note(f"dialog_{dialog.type}")
        # A page waits for an answer to its dialog, and so would every step.
        _soon(dialog.accept() if dialog.type in ("alert", "beforeunload") else dialog.dismiss())

    async def renew(self) -> None:
        """A fresh page in the place of one that does not answer."""
        old, self._crashed = self.pages, False
        self.pages = []
        self._take(await old[0].context.new_page())
        for page in old:
            # The old pages' ends are no ends of the tab.
            page.remove_listener("close", self._closed)
            _soon(page.close())

    async def heal(self) -> str | None:
        """Replace the current page if it crashed or hangs. Returns the reason, None if the page is healthy."""
        if not self._crashed:
            try:
                async with asyncio.timeout(HEALTH):
                    await self.page.evaluate("1")
            except TimeoutError:
                pass
            except Error:
                # The page is on its way to another, so it still answers.
                if not self._crashed:
                    return None
            else:
                return None

        why = "crashed" if self._crashed else "hung"
        await self.renew()
        return why


async def _element(page: Page, step: Json) -> Locator:
    if step.get("ref"):
        found = page.locator(f"aria-ref={step['ref']}")
        # No element comes later: refs are those of the last snapshot.
        if not await found.count():
            raise ProgramStepFailed("no_element")
        return found
    return page.locator(f"css={step['selector']}").locator("visible=true").first


async def _go(page: Page, url: str, left: float) -> Response | None:
    """Navigate. None where Chromium went on by itself, as from https back to http, and no status is known."""
    # Twice: the error page of an earlier failure may come between.
    for _ in range(2):
        try:
            return await page.goto(url, wait_until="domcontentloaded", timeout=left * 1000)
        except Error as error:
            if "interrupted by another navigation" not in error.message:
                raise
    await page.wait_for_load_state("domcontentloaded", timeout=left * 1000)
    return None


async def _navigate(page: Page, step: Json, left: float) -> Json:
    try:
        response = await _go(page, step["url"], left)
    except Late:
        raise
    except Error as error:
        # Playwright has one class for these errors, which only their texts tell apart.
        if "Download is starting" in error.message:
            raise ProgramStepFailed("download") from None
        if (net := _NET.search(error.message)) is None:
            raise
        raise ProgramStepFailed("unreachable", net[1]) from None

    await _loaded(page)
    return {"status": response.status if response else None}


async def _loaded(page: Page) -> None:
    with contextlib.suppress(Late):
        await page.wait_for_load_state("load", timeout=LOAD_WAIT * 1000)


async def _wait(page: Page, step: Json, left: float) -> Json:
    if step.get("selector"):
        await (await _element(page, step)).wait_for(state="visible", timeout=left * 1000)
    else:
        await asyncio.sleep(step["time"])
    return {}


async def _click(page: Page, step: Json, left: float) -> Json:
    element = await _element(page, step)
    if await element.evaluate(_OPENS, timeout=left * 1000):
        # A link that opens nothing after all is no failure.
        with contextlib.suppress(Late):
            async with page.expect_popup(timeout=POPUP_WAIT * 1000):
                await element.click(timeout=left * 1000)
        return {}
    await element.click(timeout=left * 1000)
    return {}


async def _type(page: Page, step: Json, left: float) -> Json:
    element = await _element(page, step)
    if step["clear"]:
        await element.fill(step["text"], timeout=left * 1000)
    else:
        await element.press("End", timeout=left * 1000)
        await element.press_sequentially(step["text"], timeout=left * 1000)
    if step["submit"]:
        await element.press("Enter", timeout=left * 1000)
    return {}


async def _select(page: Page, step: Json, left: float) -> Json:
    element, value = await _element(page, step), step["value"]
    await element.wait_for(state="visible", timeout=left * 1000)
    # By value or by text: a model names what the page shows.
    there = await element.evaluate(
        "(e, v) => [...(e.options || [])].map(o => [o.value, o.label.trim()]).findIndex(o => o[0] == v || o[1] == v)",
        value,
    )
    if there < 0:
        raise ProgramStepFailed("no_option")
    await element.select_option(index=there, timeout=left * 1000)
    return {}


async def _press(page: Page, step: Json, left: float) -> Json:
    if step.get("ref") or step.get("selector"):
        await (await _element(page, step)).press(step["key"], timeout=left * 1000)
    else:
        await page.keyboard.press(step["key"])
    return {}


async def _scroll(page: Page, step: Json, left: float) -> Json:
    if step.get("ref") or step.get("selector"):
        await (await _element(page, step)).scroll_into_view_if_needed(timeout=left * 1000)
    else:
        await page.evaluate(_SCROLL, [step["direction"], step.get("amount")])
    return {}


async def _back(page: Page, _: Json, left: float) -> Json:
    await page.go_back(wait_until="domcontentloaded", timeout=left * 1000)
    return {}


async def _extract(page: Page, step: Json, left: float) -> Json:
    if step.get("ref"):
        named = f"aria-ref={step['ref']}"
    else:
        named = f"css={step.get('selector') or 'body'}"
    found, limits = page.locator(named), [MAX_ITEMS, step.get("attribute"), step["most"]]
    # Most often it is there: one message to the page instead of three.
    texts = await found.evaluate_all(_TEXT, limits)
    if texts["items"] == []:
        await found.first.wait_for(state="attached", timeout=left * 1000)
        texts = await found.evaluate_all(_TEXT, limits)
    if texts["items"] is None:
        raise ProgramStepFailed("too_large")
    # Elements with a ref may be in a frame, which has a title of its own.
    return {"items": texts["items"]} if step.get("ref") else texts


async def _extract_html(page: Page, step: Json, left: float) -> Json:
    named = step.get("ref") or step.get("selector")
    if named:
        element = await _element(page, step)
    else:
        element = page.locator("css=html")
    html = await element.evaluate(_HTML, step["most"], timeout=left * 1000)
    if html is None:
        raise ProgramStepFailed("too_large")
    return {"html": html if named else "<!DOCTYPE html>\n" + html}


async def _screenshot(page: Page, step: Json, left: float) -> Json:
    png = await page.screenshot(full_page=step["full_page"], timeout=left * 1000)
    return {"screenshot": base64.b64encode(png).decode()}


_STEPS: dict[str, Callable[[Page, Json, float], Awaitable[Json]]] = {
    "navigate": _navigate, "wait": _wait, "click": _click, "type": _type, "select": _select, "press": _press,
    "scroll": _scroll, "back": _back, "extract": _extract, "extract_html": _extract_html, "screenshot": _screenshot,
}  # fmt: skip
_MAY_LEAD_ON = {"click", "type", "press", "select", "back"}


class BrowserProgram:
    """The browser and its tabs."""

    def __init__(self) -> None:
        self._tabs: dict[str, ProgramTab] = {}
        self._names = map(str, itertools.count(1))
        self._context: BrowserContext | None = None
        self._opening = asyncio.Lock()

    async def _started(self) -> BrowserContext:
        async with self._opening:
            if self._context is None:
                playwright = await async_playwright().start()
                browser = await playwright.chromium.launch(
                    executable_path=os.environ["CHROMIUM"],
                    args=os.environ["CHROMIUM_SWITCHES"].split(),
                    proxy={"server": os.environ["BROWSER_PROXY"]},
                    env=dict(os.environ) | {"FONTCONFIG_FILE": "/tmp/fonts.conf"},  # noqa: S108
                )
                # The end of this program tells the caller that the browser has ended.
                browser.on("disconnected", _exit)
                self._context = await browser.new_context(accept_downloads=False)

            return self._context

    async def answer(self, request: Json) -> Json:
        """One request's answer."""
        if request["do"] == "open":
            try:
                tab = ProgramTab(await (await self._started()).new_page())
            except Error as error:
                sys.stderr.write(error.message)
                return {"failed": "no_browser"}

            self._tabs[name := next(self._names)] = tab
            return {"given": {"tab": name}}

        if request["do"] == "close":
            for page in self._tabs.pop(request["tab"]).pages:
                _soon(page.close())
            return {"given": {}}

        tab = self._tabs[request["tab"]]
        # An earlier caller may have timed out, but its step goes on.
        async with tab.lock:
            return await self._in(tab, request)

    async def _in(self, tab: ProgramTab, request: Json) -> Json:
        tab.notes = []
        if tab.page.is_closed():
            await tab.renew()
        if request["do"] == "act":
            do = self._act
        else:
            do = self._snapshot

        try:
            async with asyncio.timeout(request["seconds"]):
                result = await do(tab, request)
                result["url"] = tab.page.url
                if "title" not in result:
                    result["title"] = await tab.page.title()
        except (TimeoutError, Late):
            # A page that hangs would fail every later step too.
            why = await tab.heal() or await self._why(tab, request)
            return {"failed": why, "notes": tab.notes}
        except ProgramStepFailed as failed:
            return {"failed": failed.code, "net": failed.net, "notes": tab.notes}
        except Error as error:
            return {"failed": await tab.heal() or _meaning(error.message), "notes": tab.notes}

        return {"given": result | {"notes": tab.notes}}

    async def _act(self, tab: ProgramTab, request: Json) -> Json:
        step, page = request["step"], tab.page
        # An empty page has nothing to act on: the caller forgot to navigate.
        if page.url == "about:blank" and step["type"] not in ("navigate", "wait"):
            raise ProgramStepFailed("no_page")

        if step["type"] in ("navigate", "back"):
            left = request["seconds"]
        else:
            left = request["element_seconds"]

        values = await _STEPS[step["type"]](page, step, left)
        if step["type"] in _MAY_LEAD_ON:
            # A navigation that the step began is under way by then.
            await asyncio.sleep(0.05)
            await _loaded(tab.page)

        title = {"title": values.pop("title")} if "title" in values else {}
        return {"values": values, **title}

    async def _snapshot(self, tab: ProgramTab, request: Json) -> Json:
        if tab.page.url == "about:blank":
            raise ProgramStepFailed("no_page")
        text = await tab.page.locator("css=body").aria_snapshot(mode="ai", timeout=request["seconds"] * 1000)
        return {"text": text[: request["most"]], "cut": len(text) > request["most"]}

    async def _why(self, tab: ProgramTab, request: Json) -> str:
        """Return the code of a step that timed out: `no_element` or `not_ready` if it names an element, else `timed_out`."""
        step = request.get("step", {})
        if not (step.get("ref") or step.get("selector")):
            return "timed_out"

        try:
            if step.get("ref"):
                named = f"aria-ref={step['ref']}"
            else:
                named = f"css={step['selector']}"

            # The page may hang, which could be why the step timed out.
            async with asyncio.timeout(HEALTH):
                there = await tab.page.locator(named).count()
        except (TimeoutError, Error):
            return "no_element"

        if there:
            return "not_ready"

        return "no_element"


def _meaning(message: str) -> str:
    """The code of an error of Playwright's."""
    # Playwright has one class for all of them: only the text tells the cause.
    if (
        "selector" in message
        or "invalid URL" in message
        or "Unknown key" in message
        or "Unexpected token" in message
    ):
        return "bad_step"
    if "not an <input>" in message or "not a <select>" in message or "not an <" in message:
        return "bad_element"
    if "aria-ref" in message:
        return "no_element"

    return "broke"


_TASKS: set[asyncio.Future[Any]] = set()


def _soon(work: Awaitable[Any]) -> None:
    """Start work that no caller waits for."""
    # A page that hangs may never answer.

    async def quietly() -> None:
        with contextlib.suppress(Error):
            await work

    task = asyncio.ensure_future(quietly())
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)


def _exit(_: object) -> None:
    os._exit(3)


PROGRAM = BrowserProgram()


async def app(_scope: Any, receive: Any, send: Any) -> None:
    """The ASGI application."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    answer = json.dumps(await PROGRAM.answer(json.loads(body))).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    pathlib.Path("/tmp/fonts.conf").write_text(_FONTS, encoding="utf-8")  # noqa: S108
    uvicorn.run(app, port=int(os.environ["PORT"]), lifespan="off", access_log=False)
