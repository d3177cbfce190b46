"""The MCP server of a runtime, loaded and made at the first request for it.

Its modules and types are a third of a runtime's start and a fifth of its memory, for nothing in runtimes that serve only HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from codewords_mcp.common.frozen_imports import loading
from codewords_mcp.errors import ServiceNotAvailable
from codewords_mcp.mcp_server.toolsets import check_settings
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.settings import Settings


class LazyMcpApp:
    """ASGI application that makes the one of `mcp_app` when it is first called, inside of its `lifespan`.

    Raises InvalidInput for a malformed toolset in the settings, at once.
    """

    def __init__(self, runtime: Runtime, settings: Settings) -> None:
        check_settings(settings)
        self._runtime = runtime
        self._settings = settings
        self._app: ASGIApp | None = None
        self._serving: asyncio.Task[None] | None = None
        self._opened, self._closing = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request. Raises what making the server raises."""
        app = self._app or await self._open()
        await app(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """End the server, if one was made, at the end of this context. Raises what its end raises."""
        try:
            yield
        finally:
            self._closing.set()
            if self._serving is not None and not self._serving.done():
                await self._serving

    async def _open(self) -> ASGIApp:
        if self._serving is None:
            # A task of its own: the server's task group must be left by the task that entered it.
            self._serving = asyncio.create_task(self._serve())
        opened = asyncio.create_task(self._opened.wait())
        try:
            # Waits without awaiting the task: a client that hangs up must not end the server of the others.
            await asyncio.wait({self._serving, opened}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            opened.cancel()

        if self._app is None:
            # It has ended before it was open, by an exception.
            self._serving.result()
            raise ServiceNotAvailable("The runtime is ending.", hint="The next call starts another.")
        return self._app

    async def _serve(self) -> None:
        # In a thread, so that runs and pages are served meanwhile.
        create_mcp_app = await asyncio.to_thread(_load)
        app, lifespan = create_mcp_app(self._runtime, self._settings)
        async with lifespan():
            self._app = app
            self._opened.set()
            await self._closing.wait()


def _load() -> Callable[[Runtime, Settings], tuple[ASGIApp, Callable[[], AbstractAsyncContextManager[None]]]]:
    with loading():
        from codewords_mcp.cli.mcp_app import create_mcp_app
    return create_mcp_app
