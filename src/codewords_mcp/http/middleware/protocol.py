"""uvicorn's HTTP/1.1 with bounds, and with two habits of clients that it loses requests by.

- It bounds neither the time that a head takes, nor its size, nor how many connections wait for one, nor the silence in the
  middle of a body. No key is needed to send any of these.
- It drops the body of a request that offers an upgrade other than to a websocket (`Upgrade: h2c`, which curl and Java send).
  The offer is ignored here, as RFC 9110 (7.8) has it, and the request is served.
- It hangs up on a client that ends its side after its request. Such a client gets its response.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, ClassVar, cast

import httptools
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from codewords_mcp.http.middleware.response_transport import RESPONSE, ResponseTransport

SOCKET_ENDS = "codewords.socket_ends"
"""In the state of a scope: (the other end of the connection itself, our end), whatever its requests say."""
HANG_UPS = "codewords.hang_ups"
"""In the state of a scope: a set of callables without arguments, which are called when the connection is lost."""
MAX_HEAD = 64 << 10
"""Bytes of a head, of what is between two pieces of a body, and of what follows its last one."""
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_STALLED = "The rest of the request's body did not come within 30 seconds."
_STALLED_BODY = json.dumps(
    {
        "error": {
            "code": "request_timed_out",
            "message": _STALLED,
            "origin": "platform",
            "hint": "Send the request again.",
        },
        "detail": f"{_STALLED} Send the request again.",
    }
).encode()
_TOO_SLOW_BODY = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nerror-origin: platform\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(_STALLED_BODY), _STALLED_BODY)
)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_PROBES = (0.05, 0.5)
_PROBE_INTERVAL = 5.0
_NOT_OFFERED = frozenset({b"upgrade", b"http2-settings", b"connection"})
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def _websocket(**options: Any) -> asyncio.Protocol:
    from codewords_mcp.http.middleware.websocket_protocol import WebSocketProtocol

    return WebSocketProtocol(**options)


WEBSOCKET = cast("type[asyncio.Protocol]", _websocket)
"""Makes a `WebSocketProtocol`, which is loaded for the first one: uvicorn takes it for the class."""


def _serve(app: ASGIApp, scope: Scope, receive: Receive, _send: Send) -> Awaitable[None]:
    return app(scope, receive, scope["state"][RESPONSE].send)


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    head_timeout: ClassVar[float] = 30.0
    """Time for a client to send its request's head; beside what uvicorn gives a connection between two requests."""
    body_timeout: ClassVar[float] = 30.0
    """Time that a client may be silent in the middle of a body, while it is read and nothing has been answered."""
    max_waiting: ClassVar[int] = 2000
    """Connections without a request at once. The one that has waited longest makes room for the next."""
    waiting: ClassVar[dict[BoundedProtocol, None]] = {}
    """Connections without a request, in the order in which they opened or ended their last request."""
    _deadline: asyncio.TimerHandle | None = None
    _in_head = False
    _in_body = False
    _version: bytes = b"1.1"
    _body_timer: asyncio.TimerHandle | None = None
    _body_at = 0.0
    """The time at which the last piece of a body came."""
    _probe: asyncio.TimerHandle | None = None
    _idle_timer: asyncio.TimerHandle | None = None
    _idle_since: float | None = None
    """The time of the last response's end; None before it and from the next request's first byte."""
    _unparsed = 0
    """Bytes since the last that were of use: the end of a head, a piece of a body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a head."""
        super().connection_made(transport)
        self.app = partial(_serve, self.app)  # type: ignore[assignment]
        # what a proxy says of its client (`X-Forwarded-For`), uvicorn writes over the address in the scope
        self._hang_ups: set[Callable[[], None]] = set()
        self.app_state = {
            **self.app_state,
            SOCKET_ENDS: (self.client, self.server),
            HANG_UPS: self._hang_ups,
        }
        self._in_head = True
        self._watch()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection as waiting."""
        self._unwatch()
        for timer in (self._body_timer, self._probe, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self.waiting.pop(self, None)
        super().connection_lost(exc)
        for on_hang_up in tuple(self._hang_ups):
            on_hang_up()

    def data_received(self, data: bytes) -> None:
        """Read on, as far as it leads to a request."""
        self._unparsed += len(data)
        self._feed(data)
        # `_feed` may have answered with an error and closed.
        if self.transport.is_closing():
            return

        if self._unparsed > MAX_HEAD:
            self._turn_away(_TOO_LARGE)
        elif not self._in_head:
            if self._deadline is not None:
                self._unwatch()
            if self._in_body:
                self._watch_body()
        elif self._deadline is None:
            # A second request on the same connection gets its own time for its head.
            self._watch()

    def _feed(self, data: bytes) -> None:
        """Parse; as uvicorn does it, but for offers to upgrade."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        except httptools.HttpParserUpgrade as offer:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            elif self.scope["method"] == "CONNECT":
                self.send_400_response("This is no proxy.")
            else:
                # RFC 9110, 7.8: a server may ignore an offer to upgrade, and answers the request
                # itself.
                self._parse_without_offer(data[offer.args[0] :])

    def _parse_without_offer(self, rest: bytes) -> None:
        """Parse the request anew as if it offered no upgrade: its parser stops reading at one that does."""
        tokens = [
            token.strip()
            for name, value in self.headers
            if name == b"connection"
            for token in value.split(b",")
            if token.strip().lower() not in _NOT_OFFERED
        ]
        lines = [b"%b %b HTTP/%b" % (self.scope["method"].encode(), self.url, self._version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] not in _NOT_OFFERED]
        if tokens:
            lines.append(b"connection: " + b", ".join(tokens))
        # A fresh parser: the old one refuses all data after an offer to upgrade.
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._feed(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The client ended its side. One that waits for its response gets it; one that has gone altogether is found by writing.

        TCP tells the two apart only when something is written, so an interim response is. Within a response, or where
        interim ones are not known (HTTP/1.0), the client counts as gone.
        """
        waits = self._answering and not self._in_body and not self.cycle.response_started
        # None lets asyncio close the connection, True keeps our side open.
        if not waits or self.scope["http_version"] != "1.1":
            return None

        self.cycle.keep_alive = False
        self._probe_client(0)
        return True

    def _probe_client(self, number: int) -> None:
        if self.transport.is_closing() or not self._answering or self.cycle.response_started:
            return
        # To a client that has gone, TCP answers with a reset, which ends the connection here.
        self.transport.write(_CONTINUE)
        if number < len(_PROBES):
            delay = _PROBES[number]
        else:
            delay = _PROBE_INTERVAL
        self._probe = self.loop.call_later(delay, self._probe_client, number + 1)

    def _should_upgrade(self) -> bool:
        # The websocket's own parser waits for ever for the rest of what is no GET, and nothing counts such a connection.
        return self.parser.get_method() == b"GET" and super()._should_upgrade()

    @property
    def _is_declined(self) -> bool:
        """Whether the request offers an upgrade that is ignored; it is parsed anew then."""
        return bool(self.parser.should_upgrade()) and not self._should_upgrade()

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Take the head of a request."""
        if self._is_declined:
            self.scope["method"] = self.parser.get_method().decode("ascii")
            self._version = str(self.parser.get_http_version()).encode()
            return
        self._in_head = False
        self._in_body = True
        self._unparsed = 0
        self.waiting.pop(self, None)
        cycle_before = self.cycle
        super().on_headers_complete()
        # An upgrade to a websocket has no cycle of its own.
        if self.cycle is not cycle_before:
            self.cycle.transport = transport = ResponseTransport(self.cycle)
            self.cycle.scope.setdefault("state", {})[RESPONSE] = transport

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Take the end of a request."""
        if self._is_declined:
            return
        self._in_body = False
        self._unparsed = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next one, unless it is there."""
        cycle = self.cycle
        if cycle.response_complete:
            # They refer to each other, so only the collector would free a request.
            cycle.transport = self.transport
            cycle.scope.setdefault("state", {}).pop(RESPONSE, None)
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        # Beside this, uvicorn makes a timer for each response.
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._look_if_idle()
        self._wait()

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def _look_if_idle(self) -> None:
        """Close a connection that has had no request for long enough, else look again then."""
        self._idle_timer = None
        if self._idle_since is None:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._look_if_idle)
        else:
            self.transport.close()

    def _wait(self) -> None:
        self.waiting[self] = None
        if len(self.waiting) > self.max_waiting:
            # Dictionaries keep their order, so the first one has waited the longest.
            longest = next(iter(self.waiting))
            del self.waiting[longest]
            longest.transport.close()

    def _watch_body(self) -> None:
        self._body_at = self.loop.time()
        if self._body_timer is None:
            self._body_timer = self.loop.call_later(self.body_timeout, self._look_at_body)

    def _look_at_body(self) -> None:
        self._body_timer = None
        if not self._in_body or self.transport.is_closing() or self.cycle.response_started:
            return

        now = self.loop.time()
        if self.flow.read_paused:  # it is not the client that does not go on
            self._body_at = now
        left = self._body_at + self.body_timeout - now
        if left > 0:
            self._body_timer = self.loop.call_later(left, self._look_at_body)
        else:
            self.transport.write(_TOO_SLOW_BODY)
            self.transport.close()

    def _watch(self) -> None:
        self._deadline = self.loop.call_later(self.head_timeout, self._late)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._watch() if self._answering else self._turn_away(_TOO_SLOW)

    @property
    def _answering(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete  # None before the first request

    def _turn_away(self, answer: bytes) -> None:
        """Close the connection, with an error response where a request had begun and no other response is being sent."""
        if self._unparsed and not self._answering:
            self.transport.write(answer)
        self.transport.close()
