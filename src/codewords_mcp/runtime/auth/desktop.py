"""The desktop of the runtime: opens its person's browser with a one-time sign-in address.

No tool, route or log line contains that address: an assistant gets only the address of the page,
which signs nobody in.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from typing import Final, Literal

import structlog

OPEN_INTERVAL: Final = 5.0
"""Minimum seconds between two pages, so that they can't flood a person."""
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
log = structlog.get_logger(__name__)


class Desktop:
    """Opens pages in the browser of the person that started the runtime."""

    def __init__(self, mode: Literal["auto", "never"], open_url: Callable[[str], bool] | None = None) -> None:
        self._enabled = mode == "auto"
        self._open_url = open_url or _open_url
        # The monotonic clock may begin at 0, and the first page must not wait.
        self._opened_at = -OPEN_INTERVAL

    @property
    def available(self) -> bool:
        """Whether there is a desktop, and the settings let the runtime use it."""
        return self._enabled and has_desktop()

    def take_turn(self) -> bool:
        """Whether a page may be opened now; the next one may only after `OPEN_INTERVAL`."""
        at = time.monotonic()
        if not self.available or at - self._opened_at < OPEN_INTERVAL:
            return False
        # At the request, not after the page has opened, which takes seconds.
        self._opened_at = at
        return True

    async def open(self, url: str) -> bool:
        """Open an address; whether the system took it."""
        try:
            # webbrowser waits for the program that it starts.
            opened = await asyncio.to_thread(self._open_url, url)
        except OSError:
            opened = False
        log.info("page opened in the person's browser" if opened else "no browser could be opened")
        return opened


def has_desktop() -> bool:
    """Whether a person sits before this machine's screen."""
    # The screen of this machine is not where the person sits.
    if os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in {"darwin", "win32"} or any(os.environ.get(name) for name in _DISPLAYS)


def _open_url(url: str) -> bool:
    import webbrowser

    return webbrowser.open(url)
