"""Detect activity of the runtime, for its shutdown when idle."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Receive, Scope, Send

from codewords_mcp.http.paths import is_chrome


class Activity:
    """Wraps the application. A chat host that merely listens (the GET stream of `/mcp`), a Chrome that waits for work or who
    asks for liveness or readiness is no use.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open = 0
        self._last = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last request ended, 0 while one is served."""
        if self._open:
            return 0.0
        return time.monotonic() - self._last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve and count."""
        if scope["type"] == "lifespan" or _only_listens(scope):
            await self._app(scope, receive, send)
            return
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1
            # At the end: a run of an hour must not count as an hour without use.
            self._last = time.monotonic()


def _only_listens(scope: Scope) -> bool:
    if scope["type"] == "websocket":
        return is_chrome(scope["path"])
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    path: str = scope["path"]
    return path in {"/healthz", "/readyz"} or path.rstrip("/").endswith("/mcp")
