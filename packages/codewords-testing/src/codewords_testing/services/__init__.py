"""Upstreams of the library services, on loopback, for tests. Each speaks its protocol, with its limits and errors.

    with loopback_services() as upstream:
        Settings(hunter_base_url=f"{upstream.url}/hunter", …)        # or **upstream.settings()

`requests` are the received ones, newest last; `answer_next` makes the next requests fail as the real one would.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from codewords_testing.services import hunter, reddit, search, slack, whatsapp
from codewords_testing.services.model import ServiceRequest

__all__ = ["LoopbackServices", "ServiceRequest", "loopback_services"]

_MAX_REQUESTS = 10_000


class LoopbackServices:
    """All of them on one port, each under its own path."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: deque[ServiceRequest] = deque(maxlen=_MAX_REQUESTS)
        self.slack = slack.Slack()
        self._scripted: deque[tuple[int, Any, dict[str, str]]] = deque()
        self._changed = threading.Condition()
        self.loop: asyncio.AbstractEventLoop | None = None

    def settings(self) -> dict[str, str]:
        """The settings that lead a runtime here."""
        bases = {
            "searchapi_base_url": "searchapi",
            "reddit_base_url": "reddit",
            "reddit_api_base_url": "reddit-api",
            "hunter_base_url": "hunter",
            "slack_base_url": "slack",
            "whatsapp_base_url": "whatsapp",
        }
        return {name: f"{self.url}/{path}" for name, path in bases.items()}

    def answer_next(self, status: int, body: Any = None, **headers: str) -> None:
        """Answer the next request with this instead; the body is sent as JSON, bytes as they are."""
        self._scripted.append((status, body, {n.replace("_", "-"): v for n, v in headers.items()}))

    def wait_for(self, happened: Callable[[], bool], seconds: float = 30) -> bool:
        """Wait until `happened` returns true; checked after each request and each frame. False when the time is over."""
        with self._changed:
            return self._changed.wait_for(happened, seconds)

    def send_event(self, envelope: dict[str, Any]) -> None:
        """Push a frame to Slack's newest open socket."""
        assert self.loop is not None  # noqa: S101  # it serves
        asyncio.run_coroutine_threadsafe(self.slack.push(envelope), self.loop).result(30)

    def drop_socket(self) -> None:
        """Break Slack's newest open socket."""
        assert self.loop is not None  # noqa: S101  # it serves
        asyncio.run_coroutine_threadsafe(self.slack.drop(), self.loop).result(30)

    def notify(self) -> None:
        """Wake the threads that wait in `wait_for`."""
        with self._changed:
            self._changed.notify_all()

    @web.middleware
    async def _noting(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("upgrade"):
            body = b""
        else:
            body = await request.read()

        self.requests.append(
            ServiceRequest(
                request.method,
                request.path,
                dict(request.query),
                {name.lower(): value for name, value in request.headers.items()},
                body,
            )
        )
        self.notify()
        if self._scripted:
            status, scripted, headers = self._scripted.popleft()
            if isinstance(scripted, bytes):
                return web.Response(status=status, body=scripted, headers=headers)
            return web.json_response(scripted, status=status, headers=headers)

        return await handler(request)

    async def start(self, port: int = 0) -> web.AppRunner:
        """Listen on the running loop."""
        self.loop = asyncio.get_running_loop()
        app = web.Application(middlewares=[self._noting])
        self.slack.on_frame = self.notify

        for routes in (
            search.routes(),
            reddit.routes(),
            hunter.routes(),
            self.slack.routes(),
            whatsapp.routes(),
        ):
            app.add_routes(routes)

        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self.slack.url = self.url

        return runner


@contextmanager
def loopback_services() -> Generator[LoopbackServices]:
    """Serve them from a thread of their own."""
    services, ready, end = LoopbackServices(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        runner = await services.start()
        ready.set()
        await end.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="loopback services")
    thread.start()
    ready.wait(30)

    try:
        yield services
    finally:
        assert services.loop is not None  # noqa: S101  # it serves
        services.loop.call_soon_threadsafe(end.set)
        thread.join(30)
