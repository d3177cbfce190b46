"""The MCP server over HTTP: bound to a caller, with the scopes that each message needs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from typing import Any, cast

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.mcpserver import MCPServer
from mcp.server.runner import serve_dual_era_loop
from mcp.server.sse import SseServerTransport
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as HttpScope

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import InsufficientScope, Unauthenticated
from codewords_mcp.mcp_server.access import rules_of
from codewords_mcp.mcp_server.brief import BriefMessages
from codewords_mcp.mcp_server.context import CALLER_KEY, ServerState, principal_of
from codewords_mcp.mcp_server.request_ids import with_unique_ids
from codewords_mcp.mcp_server.sessions import ReleasingWriter, Sessions, SseSessions
from codewords_mcp.runtime.auth.access_table import TABLE
from codewords_mcp.runtime.auth.roles import may_request
from codewords_mcp.runtime.auth.session_shares import SessionShares
from codewords_mcp.runtime.model.caller import Caller, Scope
from codewords_mcp.settings import Settings

_MAX_BODY = 4 << 20
_NO_CHECK = TransportSecuritySettings(enable_dns_rebinding_protection=False)


def serve_http(
    server: MCPServer[ServerState], settings: Settings, shares: SessionShares | None = None
) -> tuple[ASGIApp, Callable[[], AbstractAsyncContextManager[None]]]:
    """Return (application, lifespan): mount the first under any path, enter `lifespan()` once.

    Authentication must have put a `Caller` under `codewords.caller` into each scope: without one the
    response is 401. Host and Origin are checked by the HTTP API's middleware, for every route.
    """
    limit = max(_MAX_BODY, 4 * settings.max_code)
    low = server._lowlevel_server  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if shares is None:
        shares = SessionShares()
    manager = Sessions(low, shares, security_settings=_NO_CHECK, max_request_body_size=limit)
    connections = SseSessions(shares)
    brief = BriefMessages(server)
    sse = SseServerTransport("/messages/", _NO_CHECK, max_request_body_size=limit)

    async def handle(scope: HttpScope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/messages/":
            with connections.message(scope):
                await sse.handle_post_message(scope, receive, send)
        elif scope["path"] == "/sse":
            # `run` would enter the lifespan for each connection, and cancel all tasks at its end.
            state = manager._lifespan_state  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            begin = low.create_initialization_options()
            async with (
                connections.connection(scope[CALLER_KEY], receive, send) as (receiving, sending),
                sse.connect_sse(scope, receiving, sending) as (reading, writing),
            ):
                light = ReleasingWriter(writing)
                await serve_dual_era_loop(low, reading, light, lifespan_state=state, init_options=begin)
        elif brief.takes(scope):
            state = manager._lifespan_state  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            await brief.handle(state, scope, receive, send)
        else:
            await manager.handle_request(scope, receive, send)

    return _bound_to_caller(with_unique_ids(handle, limit), limit), manager.run


def _bound_to_caller(handle: ASGIApp, limit: int) -> ASGIApp:
    """Tell the SDK the caller: it then responds with 404 to a session id of another caller.

    Raises InsufficientScope for a call beyond the scopes of the caller's token, so that its client can
    request them.
    """

    async def app(scope: HttpScope, receive: Receive, send: Send) -> None:
        caller = scope.get(CALLER_KEY)
        if not isinstance(caller, Caller):
            error = Unauthenticated("This needs a key.", hint="Send it as `Authorization: Bearer <key>`.")
            response = JSONResponse(error.to_dict(), error.status, headers={"WWW-Authenticate": "Bearer"})
            await response(scope, receive, send)
            return

        scope["user"] = _user(principal_of(caller), caller.owner)
        # httptools keeps blanks after a header's value (RFC 9110, 5.5 excludes them), and the SDK
        # compares headers with values of the body.
        scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        if caller.by_token and scope["method"] == "POST":
            receive = await _check_scope(caller, receive, limit)
        await handle(scope, receive, _with_media_type(send))

    return app


@lru_cache(maxsize=1024)
def _user(principal: str, owner: str) -> AuthenticatedUser:
    """Describe a caller in the SDK's words."""
    return AuthenticatedUser(AccessToken(token="", client_id=principal, scopes=[], subject=owner))


def _with_media_type(send: Send) -> Send:
    """Add the media type to error responses that the SDK sends as plain text without one."""

    async def named(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            headers = list(message.get("headers", ()))
            if not any(name.lower() == b"content-type" for name, _ in headers):
                headers.append((b"content-type", b"text/plain; charset=utf-8"))
                message = {**message, "headers": headers}
        await send(message)

    return named


async def _check_scope(caller: Caller, receive: Receive, limit: int) -> Receive:
    """Check the scopes that the message needs; return a `receive` that replays it."""
    read: list[Message] = []
    body = b""

    # The application refuses a longer body, so its rest need not be held here.
    while not read or (read[-1].get("more_body") and len(body) <= limit):
        read.append(await receive())
        body += read[-1].get("body", b"")

    missing = [
        scope for scope in _required_scopes(body) if not caller.can(scope) and may_request(caller, scope)
    ]
    if missing:
        raise InsufficientScope(" ".join(dict.fromkeys(missing)), by_token=True)

    waiting = iter(read)

    async def again() -> Message:
        message = next(waiting, None)
        if message is None:
            return await receive()
        return message

    return again


def _required_scopes(body: bytes) -> list[Scope]:
    """Return the scopes that a message needs; a published tool needs `run`."""
    try:
        message = parse(body)
    except ValueError:
        return []

    match message:
        case {"method": "tools/call", "params": {"name": str() as name}}:
            rule = TABLE.find("tool", name)
            if rule:
                return list(rule.scopes)
            # A tool without a row is one that an owner published.
            return ["run"]
        case {"method": str() as method, "params": {**params}}:
            arguments = cast("dict[str, Any]", params)
            return [scope for rule in rules_of(method, arguments) for scope in rule.scopes]
        case _:
            return []
