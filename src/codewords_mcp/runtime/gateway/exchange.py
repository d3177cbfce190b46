"""One call in flight: its answer passes through here once, and what it used is settled once, however it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

from codewords_mcp.runtime.gateway.asked import Asked
from codewords_mcp.runtime.gateway.budgets import Reservation
from codewords_mcp.runtime.gateway.keys import TITLES
from codewords_mcp.runtime.gateway.lineage import Origin
from codewords_mcp.runtime.gateway.providers import Route
from codewords_mcp.runtime.gateway.tap import Reading, Tap, tap_for
from codewords_mcp.runtime.gateway.upstream import chunks
from codewords_mcp.runtime.models import CallUsage

if TYPE_CHECKING:
    from aiohttp import ClientResponse


class Books(Protocol):
    """Where a call is settled."""

    def settle(self, call: Exchange, reading: Reading) -> None:
        """Count it."""
        ...


class Exchange:
    """A call. `begun` with its answer, then `relay` is read to its end, or `close` is called; or `close` alone."""

    def __init__(self, route: Route, origin: Origin, asked: Asked | None, books: Books) -> None:
        self.route = route
        self.origin = origin
        self.asked = asked
        self.strip = asked is not None and asked.hides_usage
        self.status = 0
        """The answer's status; 0 while there is none."""
        self.sent = False
        """The provider may have begun to work, and to bill."""
        self.reservation: Reservation | None = None
        self.used: CallUsage | None = None
        self.passed = 0
        """Bytes of the answer."""
        self._books = books
        self._answer: ClientResponse | None = None
        self._tap: Tap | None = None
        self._expected = -1
        self._settled = False

    def begun(self, answer: ClientResponse) -> None:
        """The answer's head has come."""
        self._answer, self.status = answer, answer.status
        length = answer.headers.get("content-length", "")
        self._expected = int(length) if length.isdigit() else -1
        if self.asked is not None and answer.status < 300:
            media, encoding = (
                answer.headers.get("content-type", ""),
                answer.headers.get("content-encoding", ""),
            )
            self._tap = tap_for(self.route.flavor, media, encoding, strip=self.strip)

    async def relay(self) -> AsyncIterator[bytes]:
        """The answer's pieces. It is settled before the last of them, so that whoever has it all finds its cost."""
        answer, tap = self._answer, self._tap
        assert answer is not None  # noqa: S101  # begun() came first
        async for chunk in chunks(TITLES[self.route.provider], answer):
            self.passed += len(chunk)
            passed = tap.feed(chunk) if tap is not None else chunk
            if self.passed == self._expected:
                self._settle()
            if passed:
                yield passed
        rest = tap.rest() if tap is not None else b""
        self._settle()
        if rest:
            yield rest

    async def close(self) -> None:
        """End it, wherever it is. Idempotent."""
        if self._answer is not None:
            self._answer.close()
        self._settle()

    def _settle(self) -> None:
        if self._settled:
            return
        self._settled = True
        self._books.settle(self, self._tap.read() if self._tap is not None else Reading())
