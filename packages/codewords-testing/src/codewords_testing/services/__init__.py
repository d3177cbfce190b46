"""Upstreams of the library services, on loopback, for tests. Each speaks its protocol, with its limits and errors.

    with loopback_services() as upstream:
        Settings(hunter_base_url=f"{upstream.url}/hunter", …)        # or **upstream.settings()

`requests` are the received ones, newest last; `answer_next` makes the next requests fail as the real one would.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codewords_testing.fidelity.asgi import ReportedReply
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

    def application(self) -> ASGIApp:
        """All of them as one application, which notes each request and gives the scripted answers."""
        self.slack.on_frame = self.notify
        services = Starlette(
            routes=[
                *search.routes(),
                *reddit.routes(),
                *hunter.routes(),
                *self.slack.routes(),
                *whatsapp.routes(),
            ]
        )

        async def noting(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await services(scope, receive, send)
                return

            request = Request(scope, receive)
            body = await request.body()
            self.requests.append(
                ServiceRequest(
                    request.method,
                    request.url.path,
                    dict(request.query_params),
                    dict(request.headers),
                    body,
                )
            )
            self.notify()
            scripted = self._scripted_answer()
            if scripted is not None:
                await scripted(scope, _whole(body, receive), send)
                return
            name = request.url.path.split("/")[1].partition("-")[0]
            reply = ReportedReply(name, request, send, body)
            await services(scope, _whole(body, receive), reply.send)

        return noting

    def _scripted_answer(self) -> Response | None:
        if not self._scripted:
            return None
        status, body, headers = self._scripted.popleft()
        if isinstance(body, bytes):
            return Response(body, status, headers)
        return JSONResponse(body, status, headers)


def _whole(body: bytes, receive: Receive) -> Receive:
    """`receive` of an application whose request body has been read."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        if messages:
            return messages.pop()
        return await receive()

    return again


@contextmanager
def loopback_services() -> Generator[LoopbackServices]:
    """Serve them from a thread of their own."""
    services, ready = LoopbackServices(), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    services.url = services.slack.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(
        uvicorn.Config(
            services.application(),
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
    )

    async def serve() -> None:
        # The test runs in another thread, and hands its frames to this loop.
        services.loop = asyncio.get_running_loop()
        ready.set()
        await server.serve([listener])

    thread = threading.Thread(target=asyncio.run, args=[serve()], name="loopback services")
    thread.start()
    ready.wait(30)

    try:
        yield services
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
