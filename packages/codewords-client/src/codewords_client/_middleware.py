"""The ids of a request, for the workflow's log and calls, and on its answers."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from structlog.contextvars import bind_contextvars, clear_contextvars

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_BOUND = {
    b"x-request-id": "request_id",
    b"x-correlation-id": "correlation_id",
    b"codewords-caller-id": "caller_id",
    b"x-scheduled-request-id": "scheduled_request_id",
}
_ECHOED = (b"x-request-id", b"x-correlation-id", b"codewords-caller-id")


class RequestIdMiddleware:
    """ASGI middleware: binds the request's ids as structlog context and puts them on the answer.

    The bound `correlation_id` goes down the chain with every call that the client makes. A request without an
    id gets one. Answers of 400 and more say that the workflow gave them (`Error-Origin: service`).
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return

        ids = request_ids(scope)
        # What an earlier request left in this context must not appear in the log of this one.
        clear_contextvars()
        bind_contextvars(**{_BOUND[name]: value.decode("latin-1") for name, value in ids.items()})

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = with_marks(list(message.get("headers", ())), int(message["status"]), ids)
            await send(message)

        await self.app(scope, receive, marked)


def request_ids(scope: Scope) -> dict[bytes, bytes]:
    """The ids of a request, by header; request and correlation id are always there."""
    found: dict[bytes, bytes] = {name: value for name, value in scope["headers"] if name in _BOUND and value}
    found.setdefault(b"x-request-id", str(uuid.uuid4()).encode())
    found.setdefault(b"x-correlation-id", found[b"x-request-id"])
    return found


def with_marks(
    headers: list[tuple[bytes, bytes]], status: int, ids: dict[bytes, bytes]
) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with what it lacks: the ids, and the origin of an error."""
    marks = {name: ids[name] for name in _ECHOED if name in ids}
    # The caller must be able to tell the workflow's errors from the runtime's.
    if status >= 400:
        marks[b"error-origin"] = b"service"
    there = {name.lower() for name, _ in headers}
    # The workflow's own header counts, such as one that it passes on.
    return headers + [(name, value) for name, value in marks.items() if name not in there]
