"""Refuse a JSON-RPC id that is in use by another request of the same session.

The SDK would leave one of the two without a response. Sessions of HTTP+SSE need no such check: all
their responses go out on one stream.
"""

from __future__ import annotations

from typing import Any, cast

from mcp_types import INVALID_REQUEST
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codewords_mcp.common.bounded_json import parse_or_none
from codewords_mcp.mcp_server.context import CALLER_KEY, principal_of

_SESSION_HEADER = "mcp-session-id"


def with_unique_ids(app: ASGIApp, limit: int) -> ASGIApp:
    """Refuse a second request with an id in use. `limit`: bytes of a body that the application reads."""
    open_ids: set[tuple[str, str, str]] = set()

    async def unique(scope: Scope, receive: Receive, send: Send) -> None:
        session = Headers(raw=scope["headers"]).get(_SESSION_HEADER)
        if session is None or scope["method"] != "POST":
            await app(scope, receive, send)
            return

        body, receive = await _read(receive, limit)
        request_id = _id_of(body)
        if request_id is None:
            await app(scope, receive, send)
            return

        # As in the SDK, 1 and "1" are the same id. The session may be another caller's: that caller's requests neither
        # show in an answer nor are kept out by this one.
        key = (principal_of(scope[CALLER_KEY]), session, str(request_id))
        if key in open_ids:
            await _refusal(request_id)(scope, receive, send)
            return

        # Marked before the application runs, without an await in between, so that two requests
        # can't both pass.
        open_ids.add(key)
        try:
            await app(scope, receive, send)
        finally:
            open_ids.discard(key)

    return unique


async def _read(receive: Receive, limit: int) -> tuple[bytes, Receive]:
    """Return the body, as far as the application reads it, and a `receive` that replays it."""
    read: list[Message] = []
    body = bytearray()

    while not read or (read[-1].get("more_body") and len(body) <= limit):
        read.append(await receive())
        body += read[-1].get("body", b"")

    waiting = iter(read)

    async def again() -> Message:
        message = next(waiting, None)
        if message is None:
            return await receive()
        return message

    return bytes(body), again


def _id_of(body: bytes) -> str | int | None:
    """Return the id of a request; None for other messages."""
    message: Any = parse_or_none(body)
    if not isinstance(message, dict):
        return None
    record = cast("dict[str, Any]", message)
    request_id: Any = record.get("id")
    if "method" not in record or isinstance(request_id, bool) or not isinstance(request_id, str | int):
        return None
    return request_id


def _refusal(request_id: str | int) -> JSONResponse:
    error = {"code": INVALID_REQUEST, "message": "Invalid request: a request with this id is in flight."}
    return JSONResponse({"jsonrpc": "2.0", "id": request_id, "error": error}, status_code=400)
