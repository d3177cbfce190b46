"""The connection of one Chrome: questions with numbers and their answers, in JSON messages, over a `MessageChannel`.

    Chrome → runtime   {"hello": 1, "token" | "pair": …, "version", "browser"}
    runtime → Chrome   {"welcome": name of the home, "token"?: …}
    runtime → Chrome   {"id", "do", …} · {"cancel": id} · {"ping": n}
    Chrome → runtime   {"id", "ok": …} · {"id", "no": reason, "more"} · {"id", "gone": why} · {"gone": session, "why"} ·
                       {"pong": n} · {"forget": true}

The pings are messages, not frames of the protocol below: only messages keep the extension's worker alive.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, cast

from codewords_mcp.common.bounded_json import parse

PING_SECONDS: Final = 20.0
"""Chrome ends a worker without traffic after 30 s (developer.chrome.com, "Longer extension service worker lifetimes")."""
SILENCE: Final = 45.0
"""Seconds without a word after which the other end is taken for dead: two pings."""
HELLO_SECONDS: Final = 10.0

REVOKED: Final = 4001
REPLACED: Final = 4002
OTHER_VERSION: Final = 4003
MALFORMED: Final = 1008
GOING: Final = 1001
"""Codes of close frames; link.js of the extension knows the first three."""


class MessageChannel(Protocol):
    """Transport of the messages: a WebSocket of the HTTP server."""

    origin: str
    """Address at which the other end reached this runtime: `http://127.0.0.1:8765`."""

    async def receive(self) -> str | None:
        """The next message; None when the other end is gone. Cancelling it loses nothing."""
        ...

    async def send(self, text: str) -> None:
        """Send a message; one that cannot arrive any more is dropped."""
        ...

    async def close(self, code: int) -> None:
        """Hang up. Idempotent."""
        ...


class ChromeConnectionLost(Exception):
    """The connection has ended, or ends during the request."""


def _ignore(_session: str, _why: str) -> None:
    """No session is ended by its person yet."""


class ChromeConnection:
    """Questions to one Chrome. `on_gone(session, why)` is called for sessions that the person ended."""

    def __init__(self, pipe: MessageChannel) -> None:
        self._pipe = pipe
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last_received = time.monotonic()
        self.on_gone: Callable[[str, str], None] = _ignore
        self.open = True

    async def ask(self, do: str, within: float, **what: Any) -> dict[str, Any]:
        """Return the extension's answer, unchanged. Cancelling it cancels the request.

        Raises ChromeConnectionLost; TimeoutError after so many seconds.
        """
        if not self.open:
            raise ChromeConnectionLost

        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._say(id=number, do=do, **what)
            async with asyncio.timeout(within):
                return await answer
        except (TimeoutError, asyncio.CancelledError):
            # The extension stops what it does for nobody.
            self.tell(cancel=number)
            raise
        finally:
            del self._waiting[number]

    def tell(self, **what: Any) -> None:
        """Send a message that has no answer, or whose answer does not matter; on its way when this returns."""
        if self.open:
            task = asyncio.ensure_future(self._say(**what))
            # asyncio itself has only weak references to tasks.
            _ON_THE_WAY.add(task)
            task.add_done_callback(_ON_THE_WAY.discard)

    async def _say(self, **what: Any) -> None:
        await self._pipe.send(json.dumps(what))

    async def listen(self) -> bool:
        """Receive until the other end is gone, or sends no valid message. Returns whether it asked to be forgotten."""
        while (text := await self._pipe.receive()) is not None:
            self._last_received = time.monotonic()
            message = _read(text)
            if message is None:
                await self.close(MALFORMED)
                return False
            if message.get("forget") is True:
                return True

            self._take(message)

        return False

    def _take(self, message: dict[str, Any]) -> None:
        number, session = message.get("id"), message.get("gone")
        if isinstance(number, int):
            waiting = self._waiting.get(number)
            # An answer to a request that was given up.
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
        elif isinstance(session, str):
            self.on_gone(session, str(message.get("why")))

    async def ping(self) -> None:
        """Send one ping. Raises ChromeConnectionLost where nothing was received for too long."""
        if time.monotonic() - self._last_received > SILENCE:
            raise ChromeConnectionLost
        await self._say(ping=next(self._numbers))

    async def close(self, code: int) -> None:
        """Hang up; what waits for an answer has none. Idempotent."""
        self.open = False
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ChromeConnectionLost())
        with suppress(ConnectionError):
            await self._pipe.close(code)


_ON_THE_WAY: set[asyncio.Task[None]] = set()


async def hello(pipe: MessageChannel) -> dict[str, Any] | None:
    """The first message; None where none that is one comes in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(HELLO_SECONDS):
            text = await pipe.receive()
            if text is None:
                return None
            return _read(text)
    return None


def _read(text: str) -> dict[str, Any] | None:
    try:
        message: Any = parse(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(message, dict):
        return cast("dict[str, Any]", message)
    return None
