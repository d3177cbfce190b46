"""One call in flight: its answer passes through here once, and what it used is settled once, however it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from codewords_mcp.runtime.gateway.accounts import Reservation
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.http_connection import ProviderResponse
from codewords_mcp.runtime.gateway.keys import TITLES
from codewords_mcp.runtime.gateway.providers import ProviderRoute
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.tap import Reading, Tap, tap_for
from codewords_mcp.runtime.gateway.upstream import translated
from codewords_mcp.runtime.model.provider import CallUsage

LARGEST = 4 << 20
"""Bytes of an answer that is kept to be given again."""
Keep = Callable[[bytes, Reading], None]


class Books(Protocol):
    """Where a call is settled."""

    def settle(self, call: ProviderCall, reading: Reading) -> None:
        """Count it."""
        ...


class Watcher(Protocol):
    """Who is told of a call as it goes on. `content`: what was said is told too."""

    content: bool

    def answering(self) -> None:
        """The first piece has come."""
        ...

    def ended(self, call: ProviderCall, reading: Reading) -> None:
        """It is settled."""
        ...


class ProviderCall:
    """A call. `begun` with its answer, then `relay` is read to its end, or `close` is called; or `close` alone.

    `others`: what may be asked instead, in this order, when it cannot be had.
    """

    def __init__(
        self,
        route: ProviderRoute,
        origin: CallAttribution,
        asked: RequestFacts | None,
        books: Books,
        others: tuple[RequestFacts, ...] = (),
    ) -> None:
        self.route = route
        self.origin = origin
        self.asked = asked
        self.others = others
        self.instead_of = ""
        """The model that was asked for, where another one answers."""
        self.repeated = 0
        self.failure = ""
        """Our code for what ended it before its answer was whole."""
        self.watched: Watcher | None = None
        self.keep: Keep | None = None
        """Takes the whole answer, where it may be given again."""
        self.strip = asked is not None and asked.hides_usage
        self.status = 0
        """The answer's status; 0 while there is none."""
        self.sent = False
        """The provider may have begun to work, and to bill."""
        self.reservation: Reservation | None = None
        self.fees = 0
        """Picodollars reserved for what is billed apart from tokens."""
        self.used: CallUsage | None = None
        self.passed = 0
        """Bytes of the answer."""
        self._first = asked
        self._next = 0
        self._books = books
        self._answer: ProviderResponse | None = None
        self._tap: Tap | None = None
        self._expected = -1
        self._ended = False
        self._settled = False

    @property
    def model(self) -> str:
        """What is asked now; "" where the request names none."""
        if self.asked is not None:
            return self.asked.model
        return ""

    @property
    def bills(self) -> bool:
        """Whether the provider may bill it."""
        return self.route.kind != "free"

    @property
    def is_bound(self) -> bool:
        """Whether it is about something that is stored at the provider, for one of its accounts."""
        return self.asked is None or self.asked.names_stored

    @property
    def has_stand_in(self) -> bool:
        """Whether another model may still be asked."""
        return self._next < len(self.others)

    def stand_in(self) -> bool:
        """Ask the next model from now on; False where there is none."""
        if not self.has_stand_in or self._first is None:
            return False
        self._ask(self.others[self._next])
        self._next += 1
        return True

    def stand_back(self) -> None:
        """Ask what was asked for, again."""
        if self._first is not None:
            self._ask(self._first)
            self._next = 0

    def _ask(self, asked: RequestFacts) -> None:
        first = self._first
        assert first is not None  # noqa: S101  # who has stand-ins has asked for something
        self.asked, self.route = asked, asked.route
        if asked is not first:
            self.instead_of = first.model
        else:
            self.instead_of = ""

    def begun(self, answer: ProviderResponse) -> None:
        """The answer's head has come."""
        self._answer, self.status = answer, answer.status
        media, encoding = "", ""

        for name, value in answer.headers:
            if name == b"content-length" and value.isdigit():
                self._expected = int(value)
            elif name == b"content-type":
                media = value.decode("latin-1")
            elif name == b"content-encoding":
                encoding = value.decode("latin-1")

        if self.asked is not None and answer.status < 300:
            watched = self.watched
            self._tap = tap_for(
                self.route.flavor,
                media,
                encoding,
                strip=self.strip,
                watched=watched is not None,
                keeps=watched is not None and watched.content,
            )

    async def relay(self) -> AsyncIterator[bytes]:
        """The answer's pieces. It is settled before the last of them, so that whoever has it all finds its cost."""
        answer, tap = self._answer, self._tap
        assert answer is not None  # noqa: S101  # begun() came first
        kept: list[bytes] | None = [] if self.keep is not None and self.status == 200 else None

        with translated(TITLES[self.route.provider]):
            async for chunk in answer.chunks():
                if self.watched is not None and not self.passed:
                    self.watched.answering()
                self.passed += len(chunk)
                if tap is not None:
                    passed = tap.feed(chunk)
                else:
                    passed = chunk

                if self.passed == self._expected:
                    self._ended = True
                    self._settle()

                if kept is not None and self.passed <= LARGEST:
                    kept.append(passed)
                else:
                    kept = None

                if passed:
                    yield passed

        self._ended = True
        rest = tap.rest() if tap is not None else b""
        self._settle()
        if rest:
            yield rest
        if kept is not None and tap is not None and self.keep is not None and tap.read().whole:
            self.keep(b"".join([*kept, rest]), tap.read())

    async def close(self) -> None:
        """End it, wherever it is. Idempotent."""
        if self._answer is not None:
            self._answer.close()
        self._settle()

    def _settle(self) -> None:
        if self._settled:
            return

        self._settled = True
        if self._tap is not None:
            reading = self._tap.read()
        else:
            reading = Reading()

        self._books.settle(self, reading)
        if self.watched is not None:
            if self._answer is not None and not self._ended:
                self.failure = self.failure or "cut_short"
            self.failure = self.failure or reading.failure
            self.watched.ended(self, reading)
