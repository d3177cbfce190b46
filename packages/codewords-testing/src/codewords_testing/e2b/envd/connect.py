"""The Connect protocol with its JSON codec, as far as envd uses it: unary calls, and streams of envelopes.

An envelope is a byte of flags, a length of four bytes, and JSON; the last one of a stream has flag 2 and may hold an error,
which therefore arrives with status 200 (https://connectrpc.com/docs/protocol).
"""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from codewords_testing.e2b.state import CloudSandbox

_HEAD: Final = struct.Struct(">BI")
_END: Final = 2
_STATUS: Final = {
    "invalid_argument": 400,
    "unauthenticated": 401,
    "not_found": 404,
    "already_exists": 409,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
}
MEDIA_TYPE: Final = "application/connect+json"

Json = dict[str, Any]
Handler = Callable[[Request, CloudSandbox], Awaitable[Response]]


class RpcError(Exception):
    """The error that a call ends with: one of Connect's codes and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def body(self) -> Json:
        """As the wire has it."""
        return {"code": self.code, "message": self.message}


def envelope(message: Json, flags: int = 0) -> bytes:
    """One message of a stream."""
    data = json.dumps(message).encode()
    return _HEAD.pack(flags, len(data)) + data


def opened(data: bytes) -> tuple[list[Json], bytes]:
    """The whole messages at the beginning of `data`, and what is left."""
    messages: list[Json] = []
    while len(data) >= _HEAD.size:
        _, size = _HEAD.unpack_from(data)
        if len(data) < _HEAD.size + size:
            break
        messages.append(json.loads(data[_HEAD.size : _HEAD.size + size] or b"{}"))
        data = data[_HEAD.size + size :]
    return messages, data


def unary(call: Callable[[CloudSandbox, Json, Request], Awaitable[Json | None]]) -> Handler:
    """One message in, one out; errors have a status."""

    async def handle(request: Request, sandbox: CloudSandbox) -> Response:
        try:
            return JSONResponse(await call(sandbox, await request.json(), request) or {})
        except RpcError as error:
            return JSONResponse(error.body(), _STATUS[error.code])

    return handle


def stream(call: Callable[[CloudSandbox, Json, Request], AsyncIterator[Json]]) -> Handler:
    """One message in, many out."""

    async def handle(request: Request, sandbox: CloudSandbox) -> Response:
        messages, _ = opened(await request.body())
        events = call(sandbox, messages[0], request)

        async def out() -> AsyncIterator[bytes]:
            end: Json = {}
            try:
                async for event in events:
                    yield envelope(event)
            except RpcError as error:
                # The status has been sent, so the error of a stream can only be its last message.
                end = {"error": error.body()}
            yield envelope(end, _END)

        return StreamingResponse(out(), media_type=MEDIA_TYPE)

    return handle


def streamed_in(call: Callable[[CloudSandbox, AsyncIterator[Json]], Awaitable[None]]) -> Handler:
    """Many messages in, one empty one out."""

    async def handle(request: Request, sandbox: CloudSandbox) -> Response:
        async def messages() -> AsyncIterator[Json]:
            rest = b""
            async for chunk in request.stream():
                # A chunk of HTTP may end in the middle of a message.
                whole, rest = opened(rest + chunk)
                for message in whole:
                    yield message

        try:
            await call(sandbox, messages())
        except RpcError as error:
            return Response(envelope({"error": error.body()}, _END), media_type=MEDIA_TYPE)

        return Response(envelope({}) + envelope({}, _END), media_type=MEDIA_TYPE)

    return handle
