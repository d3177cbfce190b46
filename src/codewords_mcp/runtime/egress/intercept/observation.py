"""Reading of a connection that passes as it is: its requests and responses, for the run's recorder.

Nothing here changes a byte, holds one back or fails a connection: what cannot be read is passed on unread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from codewords_mcp.runtime.egress.intercept.credentials import Headers
from codewords_mcp.runtime.egress.intercept.session import InterceptSession
from codewords_mcp.runtime.recording.recorder import OpenExchange
from codewords_mcp.runtime.recording.writes import egress_write

log = structlog.get_logger(__name__)

MAX_HEAD_BYTES: Final = 256 << 10
"""Bytes of a head that is read. Hosts take far less."""
MAX_UNANSWERED: Final = 10_000
"""Requests of a connection without a response. Beyond it the connection passes unread: their number is the program's choice."""


class NotHttp(Exception):  # an outcome, caught inside this package
    """The data is no HTTP, or none that can be read."""


class Observer(Protocol):
    """Reads both directions of one connection. `sent` and `received` raise NotHttp."""

    def sent(self, data: bytes) -> None:
        """The program said this."""
        ...

    def received(self, data: bytes) -> None:
        """The host said this."""
        ...

    def host_ended(self) -> None:
        """The host says no more."""
        ...

    def end(self) -> None:
        """The connection is over."""
        ...


class PassingExchange:
    """A request on its way, and its response. Without a recorder nothing is kept."""

    __slots__ = ("_exchange", "_upgrades", "method", "switched")

    def __init__(self, method: str, exchange: OpenExchange | None, *, upgrades: bool = False) -> None:
        self.method = method
        self._upgrades = upgrades
        self.switched = False
        """Another protocol follows the response's head, as in a websocket over HTTP/2."""
        self._exchange = exchange

    def request_body(self, piece: bytes) -> None:
        """A piece of the request's body."""
        if self._exchange is not None:
            self._exchange.record_request_piece(piece)

    def request_end(self) -> None:
        """The request is complete."""
        if self._exchange is None:
            return
        body, request = self._exchange.request_body(), self._exchange.request
        reason = egress_write(request.method, request.url, request.headers, body, upgrades=self._upgrades)
        self._exchange.end_request(body, writes=bool(reason))

    def response(self, status: int, headers: Headers) -> None:
        """The response's head."""
        self.switched = self._upgrades and 200 <= status < 300
        if self._exchange is not None:
            self._exchange.record_response(status, headers)

    def trailers(self, headers: Headers) -> None:
        """Headers that follow the response's body."""
        if self._exchange is not None:
            self._exchange.record_trailers(headers)

    def response_body(self, piece: bytes) -> None:
        """A piece of the response's body, as it is sent: perhaps compressed."""
        if self._exchange is not None:
            self._exchange.record_chunk(piece)

    def count(self, size: int) -> None:
        """Bytes of the response that are not kept."""
        if self._exchange is not None:
            self._exchange.count(size)

    def end(self, *, whole: bool) -> None:
        """The exchange is over."""
        if self._exchange is not None:
            self._exchange.end(whole=whole)
            self._exchange = None


def recorded_head(session: InterceptSession, target: bytes, headers: Headers) -> tuple[bytes, Headers]:
    """(address, headers) of a request with names of secrets in place of placeholders, which differ each time."""
    named = session.interception.credentials
    if named.every:
        target = named.named(target)
        headers = [(name, named.named_in_header(value)) for name, value in headers]
    scheme = b"https" if session.secure else b"http"
    return b"%b://%b%b" % (scheme, session.authority.encode(), target), headers


@dataclass(slots=True)
class Observation:
    """The exchanges of one connection."""

    session: InterceptSession

    def begin(
        self, method: str, target: bytes, headers: Headers, *, upgrades: bool = False
    ) -> PassingExchange:
        """A request of which the head has passed."""
        session = self.session
        # Asked for each request: a prepared sandbox gets its run late.
        recording = session.interception.recording
        if recording is None:
            return PassingExchange(method, None)

        url, headers = recorded_head(session, target, headers)
        return PassingExchange(method, recording.observe("egress", method, url, headers), upgrades=upgrades)


class GuardedObserver:
    """An observer whose failure ends the reading, and nothing else. `failed` is called then, once."""

    def __init__(self, observer: Observer, failed: Callable[[], None]) -> None:
        self._observer: Observer | None = observer
        self._failed = failed

    def sent(self, data: bytes) -> None:
        """The program said this."""
        if self._observer is not None:
            self._try(self._observer.sent, data)

    def received(self, data: bytes) -> None:
        """The host said this."""
        if self._observer is not None:
            self._try(self._observer.received, data)

    def host_ended(self) -> None:
        """The host says no more."""
        if self._observer is not None:
            self._try(self._observer.host_ended)

    def end(self) -> None:
        """The connection is over."""
        observer, self._observer = self._observer, None
        if observer is not None:
            self._succeeds(observer.end)

    def _try(self, read: Callable[..., None], *data: bytes) -> None:
        if not self._succeeds(read, *data):
            self.end()
            self._failed()

    def _succeeds(self, read: Callable[..., None], *data: bytes) -> bool:
        try:
            read(*data)
        except Exception as error:
            if not isinstance(error, NotHttp):
                # A fault here must not end a connection of a program that knows nothing of it.
                log.exception("reading of a connection failed")
            return False
        return True
