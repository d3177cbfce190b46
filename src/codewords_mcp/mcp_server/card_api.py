"""Answers of the HTTP API for cards, for the caller of the card's host, from the routes that a tool names.

A card can reach nothing but tools. Its modules are the console's, which read the HTTP API, so that a tool passes them those
answers: the request never leaves this process, and has the caller of the tool's call.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Final, cast
from urllib.parse import urlencode

from mcp_types import CallToolResult
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Scope

from codewords_mcp.errors import NotFound, ServiceNotAvailable
from codewords_mcp.mcp_server.context import CALLER_KEY, ToolContext, caller_of
from codewords_mcp.mcp_server.scope_keys import API_KEY, LISTENER_KEY
from codewords_mcp.mcp_server.tool import tool_result

_SLICE: Final = 0.8
"""Seconds after which a stream that goes on is cut; the card asks for the rest."""
_STREAM_BYTES: Final = 200_000
_MOST_BYTES: Final = 2_000_000
_STREAM: Final = "application/x-ndjson"

CardPath = Annotated[str, Field(description="Of the HTTP API", max_length=200)]
CardQuery = Annotated[dict[str, str] | None, Field(description="Its query")]


class CardAnswer(BaseModel):
    """An answer of the HTTP API: JSON, or the lines of a stream so far; `ended`: no more of it come."""

    status: int
    body: Any = None
    ended: bool = False


async def read_api(
    ctx: ToolContext, path: str, query: dict[str, str], routes: Iterable[str]
) -> CallToolResult:
    """Read one of these routes, like "/runs/{}/trace". Raises NotFound for another."""
    if not any(_matches(route, path) for route in routes):
        raise NotFound("A card reads no such address.", hint="The console shows all of the runtime.")

    reply = _Reply()
    await reply.read(_request_of(ctx).scope[API_KEY], _scope_of(ctx, path, query))
    return tool_result(reply.answer(), "This is for the card.")


def _matches(route: str, path: str) -> bool:
    pattern = "".join(
        r"[\w.-]{1,100}" if part == "{}" else re.escape(part) for part in re.split(r"(\{\})", route)
    )
    return re.fullmatch(pattern, path, re.ASCII) is not None


def _request_of(ctx: ToolContext) -> Request:
    request = ctx.request_context.request
    if request is None or API_KEY not in request.scope:
        raise ServiceNotAvailable("This connection has no HTTP API behind it.", hint="Serve it over HTTP.")
    return cast("Request", request)


def _scope_of(ctx: ToolContext, path: str, query: dict[str, str]) -> Scope:
    outer: Scope = _request_of(ctx).scope
    return {
        "type": "http", "asgi": outer.get("asgi", {"version": "3.0"}), "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": urlencode(query).encode(),
        # The others are of the call of the tool: its key, its length, its type.
        "headers": [(name, value) for name, value in outer["headers"] if name == b"host"],
        "client": outer.get("client"), "server": outer.get("server"), "extensions": {}, "state": {},
        LISTENER_KEY: outer.get(LISTENER_KEY, "public"),
        # The tool has a row in the access table, of the toolset that the key must have. Routes know no toolsets.
        CALLER_KEY: replace(caller_of(ctx.request_context), toolsets=None),
    }  # fmt: skip


class _Reply:
    """The answer of an application, up to a limit of bytes and, for a stream, of time."""

    def __init__(self) -> None:
        self.status = 0
        self.is_stream = False
        self.is_whole = False
        self._body = bytearray()
        self._full = asyncio.Event()

    async def read(self, app: ASGIApp, scope: Scope) -> None:
        """Let the application answer; one that streams is stopped."""
        received = False

        async def receive() -> Message:
            nonlocal received
            if received:
                # An answer here would be a disconnect, which ends a stream.
                await asyncio.Event().wait()
            received = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def serve() -> None:
            await app(scope, receive, self._take)

        serving = asyncio.create_task(serve())
        full = asyncio.create_task(self._fill())
        try:
            await asyncio.wait({serving, full}, timeout=_SLICE, return_when=asyncio.FIRST_COMPLETED)
            if not self.is_stream and not full.done():
                await asyncio.wait({serving, full}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (serving, full):
                task.cancel()
            await asyncio.gather(serving, full, return_exceptions=True)

    async def _fill(self) -> None:
        await self._full.wait()

    async def _take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            media = next(
                (value for name, value in message["headers"] if name.lower() == b"content-type"), b""
            )
            self.is_stream = media.startswith(_STREAM.encode())
            return
        self._body += message.get("body", b"")
        self.is_whole = not message.get("more_body", False)
        if len(self._body) > (_STREAM_BYTES if self.is_stream else _MOST_BYTES):
            self._full.set()

    def answer(self) -> CardAnswer:
        """The answer so far. Raises ServiceNotAvailable for one that is too long."""
        if self.is_stream:
            # The last line may be a part of one; it comes again.
            lines = self._body[: self._body.rfind(b"\n") + 1].decode()
            return CardAnswer(status=self.status, body=lines, ended=self.is_whole)
        if not self.is_whole:
            raise ServiceNotAvailable("That is too long for a card.", hint="The console shows all of it.")
        return CardAnswer(status=self.status, body=json.loads(self._body or b"null"), ended=True)
