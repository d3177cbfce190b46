"""Calls that tests of a person's own Chrome share."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from tests.integration.own_chrome.chrome import ID
from tests.support.http_runtime import Door
from websockets.sync.client import ClientConnection, connect

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.browser.base import BrowserUser, Tab
from codewords_mcp.runtime.model.caller import Caller

_RUNS = itertools.count(1)
ORIGIN = f"chrome-extension://{ID}"


def dial(door: Door, origin: str | None = ORIGIN, **headers: str) -> ClientConnection:
    given = headers | ({} if origin is None else {"Origin": origin})
    url = f"ws://127.0.0.1:{door.port}/browser/connect"
    return connect(url, additional_headers=given, proxy=None, legacy=True)


def say(wire: ClientConnection, **what: Any) -> dict[str, Any]:
    """Say hello, and what is answered."""
    wire.send(json.dumps({"hello": 1, "version": "0.1.0", "browser": "Chrome of a test"} | what))
    return json.loads(wire.recv(timeout=120))


ADMIN = Caller("local", "admin")


Work = Callable[[Tab], Coroutine[Any, Any, Any]]


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
