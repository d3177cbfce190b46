"""Websockets to workflows, passed through message by message."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from starlette.types import Message, Receive, Scope, Send

from codewords_mcp.http.middleware.client_connection import ClientConnection, ClientGoneError
from codewords_mcp.http.routes.gateway import provider_of
from codewords_mcp.http.routes.run_calls import request_for, split
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.auth.access import Rule
from codewords_mcp.runtime.auth.access_table import TABLE
from codewords_mcp.runtime.model.provider import OWN_PROVIDERS
from codewords_mcp.runtime.model.run import RunRequest

STALLED: Final = 300.0
"""Seconds that a caller may leave a message unread."""
_TO_REALTIME: Final = frozenset({b"openai-beta", b"openai-safety-identifier"})


class WorkflowSocket(Protocol):
    """The other end: a workflow's, as `RunApi.open_websocket` gives it, or a provider's."""

    run_id: str

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the workflow chose."""
        ...

    @property
    def close_code(self) -> int:
        """The code with which the other end closed."""
        ...

    @property
    def close_reason(self) -> str:
        """The reason that the other end gave."""
        ...

    async def receive(self) -> str | bytes | None:
        """The next message; None when the workflow has closed."""
        ...

    async def send(self, message: str | bytes) -> None:
        """Pass a message on."""
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """The caller has closed."""
        ...


async def serve_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """`/run/{service_id}/{path}` as a websocket. Its end, on either side, ends the run."""
    await receive()  # websocket.connect
    service_id, path = split(scope, "/run/")
    # A handshake has no body; the connection is only there for its headers.
    request = request_for(scope, ClientConnection(receive, scope["headers"], limit=0), service_id, path)
    await pass_websocket(scope, receive, send, request)


async def pass_websocket(scope: Scope, receive: Receive, send: Send, request: RunRequest) -> None:
    """Open a websocket to a workflow, and pass messages until either side ends."""
    await pass_session(
        runtime(scope).runs.open_websocket(request, list(scope.get("subprotocols", []))), receive, send
    )


def realtime_rule(path: str) -> Rule | None:
    """Find the access rule of a realtime session by its path; None for paths of no provider."""
    found = provider_of(path)
    if found is None or found[0] == "anthropic":
        return None
    provider = found[0]
    if provider in OWN_PROVIDERS:
        return TABLE.get("websocket", f"WS /{provider}/{{path}}")
    return TABLE.get("websocket", "WS /providers/{name}/{path}")


async def serve_realtime(scope: Scope, receive: Receive, send: Send) -> None:
    """A realtime session at a provider, as its SDK opens it."""
    await receive()  # websocket.connect
    found = provider_of(scope["path"])
    assert found is not None  # noqa: S101  # only such paths are dispatched here
    provider, _, path = found
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    forwarded = [pair for pair in scope["headers"] if pair[0] in _TO_REALTIME]
    await pass_session(
        runtime(scope).models.open_realtime(caller(scope), provider, path, query, forwarded), receive, send
    )


async def pass_session(opening: Coroutine[Any, Any, WorkflowSocket], receive: Receive, send: Send) -> None:
    """Open the other end, and pass messages until either side ends."""
    session = await _open(opening, receive)
    try:
        headers = [(b"x-request-id", session.run_id.encode())] if session.run_id else []
        await _send(
            send, {"type": "websocket.accept", "subprotocol": session.subprotocol, "headers": headers}
        )
        await _first_of(_to_workflow(session, receive), _to_caller(session, send))
    finally:
        with suppress(ConnectionError):
            await session.close()


async def _open(opening: Coroutine[Any, Any, WorkflowSocket], receive: Receive) -> WorkflowSocket:
    """The session, unless the caller leaves before it is open. Raises ClientGoneError."""
    task = asyncio.ensure_future(opening)
    # Until the handshake is accepted, the only message that can come is a disconnect.
    leaving = asyncio.ensure_future(receive())

    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGoneError
        return task.result()
    finally:
        task.cancel()
        leaving.cancel()
        # A cancelled opening still has to release its sandbox.
        await asyncio.wait({task, leaving})


async def _first_of(*works: Coroutine[Any, Any, None]) -> None:
    tasks = {asyncio.ensure_future(work) for work in works}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        # Both are over before the session is closed, which they still use.
        await asyncio.wait(tasks)


async def _to_workflow(session: WorkflowSocket, receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            await session.close(_sendable(message.get("code", 1000)), message.get("reason") or "")
            return
        text = message.get("text")
        await session.send(message["bytes"] if text is None else text)


async def _to_caller(session: WorkflowSocket, send: Send) -> None:
    while (message := await session.receive()) is not None:
        if isinstance(message, str):
            kind = "text"
        else:
            kind = "bytes"
        await _send(send, {"type": "websocket.send", kind: message})
    await _send(
        send,
        {
            "type": "websocket.close",
            "code": _sendable(session.close_code),
            "reason": session.close_reason,
        },
    )


async def _send(send: Send, message: Message) -> None:
    """Send to the caller. Raises ClientGoneError where it has left, or reads nothing for `STALLED` seconds."""
    try:
        async with asyncio.timeout(STALLED):
            await send(message)
    # After its close frame the server raises RuntimeError.
    except (OSError, RuntimeError) as error:
        raise ClientGoneError from error


def _sendable(code: int) -> int:
    """1004 to 1006 and 1015 say that no code came; they must not be sent (RFC 6455, 7.4.1)."""
    if code in {1004, 1006, 1015}:
        return 1011
    if code == 1005:
        return 1000
    return code
