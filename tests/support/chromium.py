"""A real browser, driven over its own protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.needs import CHROMIUM
from websockets.sync.client import ClientConnection, connect

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip


_DRAWN = """new Promise(drawn => {
  const frames = () => requestAnimationFrame(() => requestAnimationFrame(drawn));
  document.readyState === "complete" ? frames() : addEventListener("load", frames);
})"""
_CODES = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowUp": 38, "ArrowDown": 40}
"""Codes of keys for which the browser itself does something."""
_TEXTS = {"Enter": "\r"}
"""Texts of keys whose names are longer than a character."""


def executable() -> str | None:
    """Chromium, where it is installed."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


class NavigatedError(AssertionError):
    """The page went elsewhere while it was asked something."""


class Tab:
    """One page of the browser. `problems` are what its console and its network complained of."""

    def __init__(self, wire: ClientConnection, session: str) -> None:
        self._wire = wire
        self._session = session
        self._number = 0
        self.problems: list[str] = []
        self.requested: list[str] = []

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        """A command and its result."""
        self._number += 1
        self._wire.send(
            json.dumps({"id": self._number, "sessionId": self._session, "method": method, "params": params})
        )
        while True:
            message = self._receive()
            if message.get("id") == self._number:
                if "navigated" in message.get("error", {}).get("message", ""):
                    raise NavigatedError(message)
                assert "error" not in message, message
                return message["result"]

    def wait_for(self, event: str) -> dict[str, Any]:
        """The next event of this name."""
        while True:
            message = self._receive()
            if message.get("method") == event:
                return message["params"]

    def open(self, url: str) -> None:
        """Go to a page and wait until it has loaded and is drawn: only then is the focus where the page wants it."""
        self.do("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")
        while True:
            # A page may go on to another one by itself.
            with suppress(NavigatedError):
                return self.drawn()

    def drawn(self) -> None:
        """Wait until what was done is drawn, and what a page does after that has begun."""
        self.value(_DRAWN)

    def value(self, script: str) -> Any:
        """What a script gives, run beside the page's own policy."""
        return self.do("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)[
            "result"
        ].get("value")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, as a person does: `a`, `Enter`, `ArrowDown`."""
        for key in keys:
            text = _TEXTS.get(key, key if len(key) == 1 else "")
            code = _CODES.get(key, 0)
            self.do("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=code)
            self.do("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Show pages in a window of this size, in light or dark."""
        scheme = "dark" if dark else "light"
        self.do(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        # No transitions: a page that is looked at between two themes has colours of neither.
        media = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        self.do(
            "Emulation.setEmulatedMedia",
            features=[{"name": name, "value": value} for name, value in media.items()],
        )

    def screenshot(self, path: Path) -> None:
        """A picture of the page."""
        path.write_bytes(base64.b64decode(self.do("Page.captureScreenshot")["data"]))

    def _receive(self) -> dict[str, Any]:
        message = json.loads(self._wire.recv(timeout=120))
        method, params = message.get("method"), message.get("params", {})
        if method == "Log.entryAdded":
            entry = params["entry"]
            self.problems.append(f"{entry['text']} {entry.get('url', '')}".rstrip())
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])
        return message


@contextmanager
def tab(
    profile: Path, *, width: int, height: int, mobile: bool = False, flags: Sequence[str] = ()
) -> Generator[Tab]:
    """A new browser with one page of this size, started with these flags besides the usual ones."""
    program = executable()
    assert program
    browser = subprocess.Popen(
        [program, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"],
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert browser.stderr
        url = next(line.split()[-1] for line in browser.stderr if "DevTools listening" in line)
        with connect(url, max_size=None, proxy=None, ping_interval=None) as wire:
            page = _attach(wire)
            for domain in ("Page", "Log", "Network", "Runtime"):
                page.do(f"{domain}.enable")
            page.do(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=mobile,
            )
            yield page
    finally:
        browser.terminate()
        browser.communicate(timeout=120)


def _attach(wire: ClientConnection) -> Tab:
    wire.send(json.dumps({"id": 1, "method": "Target.createTarget", "params": {"url": "about:blank"}}))
    target = _answer(wire, 1)["targetId"]
    wire.send(
        json.dumps(
            {"id": 2, "method": "Target.attachToTarget", "params": {"targetId": target, "flatten": True}}
        )
    )
    return Tab(wire, _answer(wire, 2)["sessionId"])


def _answer(wire: ClientConnection, number: int) -> dict[str, Any]:
    while True:
        message = json.loads(wire.recv(timeout=120))
        if message.get("id") == number:
            return message["result"]
