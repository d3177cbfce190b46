"""One call in flight: its response passes through here once, and its usage is settled once, however
it ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from typing_extensions import override

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.gateway.accounts import Reservation
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.connection_pool import ProviderResponse
from codewords_mcp.runtime.gateway.keys import title_of
from codewords_mcp.runtime.gateway.providers import ProviderRoute
from codewords_mcp.runtime.gateway.reading import Reading
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.tap import Tap, tap_for
from codewords_mcp.runtime.gateway.upstream import provider_error
from codewords_mcp.runtime.model.provider import CallUsage, PieceSink, PushedBody

MAX_CAPTURED_BYTES = 4 << 20
"""Bytes of a response that may be stored in the cache."""
OnComplete = Callable[[bytes, Reading], None]


class CallSettler(Protocol):
    """Settles calls."""

    def settle(self, call: ProviderCall, reading: Reading) -> None:
        """Count the call."""
        ...


class CallObserver(Protocol):
    """Observes a call. `captures_content`: receives the messages too."""

    captures_content: bool

    def on_first_chunk(self) -> None:
        """The first chunk of the response has arrived."""
        ...

    def on_end(self, call: ProviderCall, reading: Reading) -> None:
        """The call is settled."""
        ...


class ProviderCall:
    """A call to a provider.

    Call `on_response`, then read `relay` to its end or call `close`. Without a response, call
    `close` alone. `fallbacks` are the requests to send instead, in this order, if the model is
    unavailable.
    """

    def __init__(
        self,
        route: ProviderRoute,
        origin: CallAttribution,
        facts: RequestFacts | None,
        settler: CallSettler,
        fallbacks: tuple[RequestFacts, ...] = (),
    ) -> None:
        self.route = route
        self.origin = origin
        self.facts = facts
        self.fallbacks = fallbacks
        self.instead_of = ""
        """The requested model, if a fallback is used."""
        self.retries = 0
        self.failure = ""
        """Our error code, if the call ended before its response was complete."""
        self.observer: CallObserver | None = None
        self.on_complete: OnComplete | None = None
        """Receives the complete response, if it may be stored in the cache."""
        self.strip = facts is not None and facts.hides_usage
        self.status = 0
        """The response's status; 0 before there is one."""
        self.sent = False
        """The provider may have begun to work, and to bill."""
        self.reservation: Reservation | None = None
        self.fees = 0
        """Picodollars reserved for fees apart from tokens."""
        self.used: CallUsage | None = None
        self.passed_bytes = 0
        """Bytes of the response passed on."""
        self.began_at = time.perf_counter()
        self.first_chunk_at: float | None = None
        """By the clock of `began_at`."""
        self._original = facts
        self._next = 0
        self._settler = settler
        self._response: ProviderResponse | None = None
        self._tap: Tap | None = None
        self._expected_bytes = -1
        self._captured: list[bytes] | None = None
        self._complete = False
        self._settled = False

    @property
    def model(self) -> str:
        """The model of the current request; "" if the request names none."""
        if self.facts is not None:
            return self.facts.model
        return ""

    @property
    def bills(self) -> bool:
        """Whether the provider may bill the call."""
        return self.route.kind != "free"

    @property
    def is_bound_to_account(self) -> bool:
        """Whether the call uses an object that is stored at the provider, in one of its accounts."""
        return self.facts is None or self.facts.names_stored

    @property
    def has_fallback(self) -> bool:
        """Whether another model may still be tried."""
        return self._next < len(self.fallbacks)

    def use_fallback(self) -> bool:
        """Switch to the next fallback model. Returns False if there is none."""
        if not self.has_fallback or self._original is None:
            return False
        self._switch_to(self.fallbacks[self._next])
        self._next += 1
        return True

    def use_original(self) -> None:
        """Switch back to the requested model."""
        if self._original is not None:
            self._switch_to(self._original)
            self._next = 0

    def _switch_to(self, facts: RequestFacts) -> None:
        original = self._original
        assert original is not None  # noqa: S101  # a call with fallbacks has a request
        self.facts, self.route = facts, facts.route
        if facts is not original:
            self.instead_of = original.model
        else:
            self.instead_of = ""

    def on_response(self, response: ProviderResponse) -> None:
        """Take a response whose head has arrived."""
        self._response, self.status = response, response.status
        media, encoding = "", ""

        for name, value in response.headers:
            if name == b"content-length" and value.isdigit():
                self._expected_bytes = int(value)
            elif name == b"content-type":
                media = value.decode("latin-1")
            elif name == b"content-encoding":
                encoding = value.decode("latin-1")

        # An error reports no usage.
        if self.facts is not None and response.status < 300:
            observer = self.observer
            self._tap = tap_for(
                self.route.flavor,
                media,
                encoding,
                strip=self.strip,
                observed=observer is not None,
                captures=observer is not None and observer.captures_content,
            )

    def relay(self) -> RelayedBody:
        """The response's body."""
        assert self._response is not None  # noqa: S101  # on_response() came first
        if self.on_complete is not None and self.status == 200:
            self._captured = []
        return RelayedBody(self, self._response)

    def pass_on(self, chunk: bytes) -> bytes:
        """Read a chunk of the response. Returns what of it goes to the caller."""
        if self.first_chunk_at is None:
            self.first_chunk_at = time.perf_counter()
            if self.observer is not None:
                self.observer.on_first_chunk()
        self.passed_bytes += len(chunk)
        passed_on = self._tap.feed(chunk) if self._tap is not None else chunk

        # Settled before the last chunk is passed on: a caller that has it all finds its cost.
        if self.passed_bytes == self._expected_bytes and not self._settled:
            self._complete = True
            self._settle()

        if self._captured is not None:
            # Beyond this nothing is stored: a part of a response is of no use.
            if self.passed_bytes <= MAX_CAPTURED_BYTES:
                self._captured.append(passed_on)
            else:
                self._captured = None
        return passed_on

    def pass_end(self) -> bytes:
        """Note the end of the response. Returns what was held back of it."""
        self._complete = True
        tap = self._tap
        rest = tap.rest() if tap is not None else b""
        if not self._settled:
            self._settle()
        # Only a response with its final report is known to be whole.
        if self._captured is not None and tap is not None and self.on_complete is not None:
            reading = tap.read()
            if reading.whole:
                self.on_complete(b"".join([*self._captured, rest]), reading)
        return rest

    async def close(self) -> None:
        """End the call in any state. Idempotent."""
        if self._response is not None:
            self._response.close()
        if not self._settled:
            self._settle()

    def begin(self, observer: CallObserver | None) -> None:
        """Note that the provider works on the call from now on, where no response of its own tells so."""
        self.began_at = time.perf_counter()
        self.sent, self.status, self.observer = True, 200, observer

    def settle(self, reading: Reading) -> None:
        """Settle the call by what is known of its response. Idempotent."""
        if self._settled:
            return

        self._settled = True
        self._settler.settle(self, reading)
        if self.observer is not None:
            self.observer.on_end(self, reading)

    def _settle(self) -> None:
        if self._tap is not None:
            reading = self._tap.read()
        else:
            reading = Reading()

        # The caller left, or the provider broke off.
        if self._response is not None and not self._complete:
            self.failure = self.failure or "cut_short"
        self.failure = self.failure or reading.failure
        self.settle(reading)


class RelayedBody(PushedBody):
    """The body of a call's response. Raises ProviderUnavailable and ProviderTimedOut where it breaks off."""

    def __init__(self, call: ProviderCall, response: ProviderResponse) -> None:
        self._call = call
        self._response = response
        self._ended = False

    @override
    async def __anext__(self) -> bytes:
        """The next piece. Raises StopAsyncIteration after the last one."""
        while not self._ended:
            try:
                chunk = await self._response.next()
            except OSError as error:
                raise self._failure(error) from error
            if piece := self._passed(chunk):
                return piece
        raise StopAsyncIteration

    @override
    async def push(self, sink: PieceSink) -> bytes:
        """See `PushedBody`."""
        room = True

        def take(chunk: bytes) -> bool:
            nonlocal room
            if piece := self._call.pass_on(chunk):
                room = sink.write(piece)
            return room

        while (rest := self._response.rest()) is None:
            try:
                await self._response.push(take)
            except OSError as error:
                raise self._failure(error) from error
            if not room:
                await sink.drain()
                room = True

        # The end is taken in the caller's own task, in which the call is settled.
        self._ended = True
        if rest:
            rest = self._call.pass_on(rest)
        return rest + self._call.pass_end()

    def _passed(self, chunk: bytes | None) -> bytes:
        if chunk is not None:
            return self._call.pass_on(chunk)
        self._ended = True
        return self._call.pass_end()

    def _failure(self, error: OSError) -> CodewordsError:
        return provider_error(title_of(self._call.route.provider), error)
