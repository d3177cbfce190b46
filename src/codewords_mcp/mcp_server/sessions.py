"""Sessions of the older MCP era over HTTP and SSE: limited by key and owner, and small while idle.

Uses private seams of the SDK (pinned by `mcp<2.4` and by tests): its session manager has one limit for everybody and
refuses the next session, and its transports keep the last message that they sent for as long as the session lives.
"""

from __future__ import annotations

import asyncio
import functools
import re
import uuid
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs

from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
from mcp.server.streamable_http import EventMessage, SSEEvent, StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCResponse
from starlette.types import Message, Receive, Scope, Send
from typing_extensions import override

from codewords_mcp.mcp_server.context import principal_of
from codewords_mcp.runtime.api.open_requests import Watch, end_request_by, end_with_right
from codewords_mcp.runtime.auth.session_shares import McpSession, SessionShares
from codewords_mcp.runtime.model.caller import Caller

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

_SSE_ID = re.compile(rb"session_id=([0-9a-f]{32})")


class Sessions(StreamableHTTPSessionManager):
    """The SDK's session manager, which ends the longest idle session of the same key or owner to make room."""

    def __init__(self, app: Any, shares: SessionShares, **options: Any) -> None:
        super().__init__(app, max_sessions=None, **options)
        self._shares = shares

    @override
    def _admit_session(self, requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport:
        transport = _Transport(
            mcp_session_id=uuid.uuid4().hex,
            is_json_response_enabled=self.json_response,
            event_store=self.event_store,
            security_settings=self.security_settings,
            retry_interval=self.retry_interval,
            idle_timeout=self.session_idle_timeout,
        )
        session_id = transport.mcp_session_id or ""
        owner, key = _owner_and_key(requestor)
        end = functools.partial(self._evict, session_id, transport)
        transport.session = self._shares.open(owner, key, end)
        transport.watch = end_with_right(end)
        if requestor is not None:
            self._session_owners[session_id] = requestor
        self._server_instances[session_id] = transport
        return transport

    def _evict(self, session_id: str, transport: StreamableHTTPServerTransport) -> None:
        if self._task_group is not None:
            self._task_group.start_soon(self._discard_session, session_id, transport)

    @override
    async def _discard_session(self, session_id: str, transport: StreamableHTTPServerTransport) -> None:
        if isinstance(transport, _Transport) and transport.session is not None:
            self._shares.close(transport.session)
            transport.watch.discard()
        await super()._discard_session(session_id, transport)


class _Transport(StreamableHTTPServerTransport):
    """A session's transport: counts requests in flight, and releases responses that were sent."""

    session: McpSession | None = None
    watch: Watch
    """Over the right by which the session goes on."""

    @override
    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.watch.renew()
        with _in_use(self.session, scope["method"]):
            await super().handle_request(scope, receive, send)

    @override
    def _create_event_data(self, event_message: EventMessage) -> SSEEvent:
        data = super()._create_event_data(event_message)
        # The SDK's router task references the last response until the next: 200 KB of tools/list a session.
        if isinstance(event_message.message, JSONRPCResponse):
            event_message.message.result = {}
        return data


class SseSessions:
    """The sessions of HTTP+SSE, each of which is a connection."""

    def __init__(self, shares: SessionShares) -> None:
        self._shares = shares
        self._by_id: dict[str, McpSession] = {}

    @asynccontextmanager
    async def connection(
        self, caller: Caller, receive: Receive, send: Send
    ) -> AsyncGenerator[tuple[Receive, Send]]:
        """Count a connection while it is open. Raises TooBusy.

        Yields its `receive` and `send`. If it is evicted, `receive` reports that the client hung up.
        """
        ended = asyncio.Event()
        session = self._shares.open(caller.owner, principal_of(caller), ended.set)
        session.streams = 1
        # The SDK's streams are closed where the client hangs up, and not where its task is cancelled.
        watch = end_request_by(ended.set)
        names: list[str] = []

        async def receive_or_end() -> Message:
            received = asyncio.ensure_future(receive())
            evicted = asyncio.ensure_future(ended.wait())
            try:
                await asyncio.wait({received, evicted}, return_when=asyncio.FIRST_COMPLETED)
                # A message that came together with the eviction is not lost.
                if received.done():
                    return received.result()
                return {"type": "http.disconnect"}
            finally:
                received.cancel()
                evicted.cancel()

        async def name_and_send(message: Message) -> None:
            # The SDK makes the session's id within `connect_sse`; only the first event tells
            # it.
            if not names and (found := _SSE_ID.search(message.get("body", b""))):
                names.append(found[1].decode())
                self._by_id[names[0]] = session
            await send(message)

        try:
            yield receive_or_end, name_and_send
        finally:
            self._shares.close(session)
            watch.discard()
            for name in names:
                self._by_id.pop(name, None)

        if ended.is_set():
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    @contextmanager
    def message(self, scope: Scope) -> Generator[None]:
        """Mark a session as in use while a message for it is handled."""
        (session_id,) = parse_qs(scope["query_string"].decode("latin-1")).get("session_id", [""])[:1]
        with _in_use(self._by_id.get(session_id), scope["method"]):
            yield


class ReleasingWriter:
    """A write stream that serializes messages at once, so that their objects can be freed."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def send(self, item: SessionMessage) -> None:
        """Send one message."""
        await self._stream.send(SessionMessage(_Text(item.message), item.metadata))  # pyright: ignore[reportArgumentType]

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        return await self._stream.__aexit__(exc_type, exc_val, exc_tb)


class _Text:
    """A serialized message that is sent once."""

    def __init__(self, message: Any) -> None:
        self._text = message.model_dump_json(by_alias=True, exclude_unset=True)

    def model_dump_json(self, **_: Any) -> str:
        """Return the text and release it."""
        text, self._text = self._text, ""
        return text


@contextmanager
def _in_use(session: McpSession | None, method: str) -> Generator[None]:
    """Count a request of this session while it is in flight; a GET counts as a stream."""
    if session is None:
        yield
    elif method == "GET":
        session.streams += 1
        try:
            yield
        finally:
            session.streams -= 1
    else:
        session.begin_call()
        try:
            yield
        finally:
            session.end_call()


def _owner_and_key(requestor: AuthorizationContext | None) -> tuple[str, str]:
    """Return (owner, key) of a session, as `server._bound_to_caller` passed them to the SDK."""
    if requestor is None:
        return "", ""
    return requestor["subject"] or "", requestor["client_id"]
