"""The exchanges of one attempt of a run, as they come."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

from codewords_mcp.runtime.recording.exchanges import (
    Exchange,
    Outcome,
    RecordedRequest,
    UnreadConnection,
    size_of,
)
from codewords_mcp.runtime.recording.recorder import (
    BlockedRequest,
    OpenExchange,
    RecordedResponse,
    Room,
    Verdict,
)
from codewords_mcp.runtime.store.clock import now

MAX_EXCHANGES: Final = 2000
"""Exchanges of a recording. Further ones happen and are not recorded."""
MAX_CONNECTIONS: Final = 500
MAX_RUN_BYTES: Final = 16 << 20
"""Bytes of bodies of a recording, before compression."""
MAX_RUN_HEAD_BYTES: Final = 8 << 20
"""Bytes of addresses and headers of a recording. Apart from the bodies, so that long ones leave room for the list of requests."""


@dataclass(frozen=True, slots=True)
class _LoggedRequest:
    at: float  # monotonic
    request: RecordedRequest
    verdict: OpenExchange | RecordedResponse | BlockedRequest
    earlier_body: bytes | None = None


class ExchangeLog:
    """Notes each request of an attempt with what became of it. For one event loop."""

    def __init__(self, max_bytes: int = MAX_RUN_BYTES) -> None:
        self.began_at = time.monotonic()
        """Monotonic time of the begin of the attempt. All times of exchanges are seconds since then."""
        self.began = now()
        """The same moment by the wall clock, in µs since 1970."""
        self._entries: list[_LoggedRequest] = []
        self._connections: list[UnreadConnection] = []
        self._room = Room(max_bytes)
        self._head_room = Room(MAX_RUN_HEAD_BYTES)
        self._too_many = False
        self._left_out = False

    def add(self, request: RecordedRequest, verdict: Verdict) -> bool:
        """See `RequestLog`."""
        if verdict is None:
            return False
        if not self._has_room(request):
            if isinstance(verdict, OpenExchange):
                # The request passes all the same, and its exchange must not gather bytes that nobody keeps.
                verdict.fill(Room(0), Room(0))
            return False

        if request.body and not self._room.take(len(request.body)):
            request = replace(request, body=None)
        if isinstance(verdict, OpenExchange):
            verdict.fill(self._room, self._head_room)
            verdict.request = request
        self._entries.append(_LoggedRequest(time.monotonic(), request, verdict, self._earlier_body(verdict)))
        return True

    def _has_room(self, request: RecordedRequest) -> bool:
        if len(self._entries) >= MAX_EXCHANGES:
            self._too_many = True
            return False
        has_room = self._head_room.take(len(request.url) + size_of(request.headers))
        self._left_out = self._left_out or not has_room
        return has_room

    def _earlier_body(self, verdict: Verdict) -> bytes | None:
        if isinstance(verdict, RecordedResponse):
            body = verdict.earlier_body
        else:
            body = None
        if body is not None and self._room.take(len(body)):
            return body
        return None

    def adopt(self, earlier: ExchangeLog) -> None:
        """Take over what the program sent before the attempt began; its times are negative."""
        self._entries[:0] = earlier._entries
        self._connections[:0] = earlier._connections
        self._too_many = self._too_many or earlier._too_many
        self._left_out = self._left_out or earlier._left_out
        self._room.short = self._room.short or earlier._room.short
        self._head_room.short = self._head_room.short or earlier._head_room.short

    def add_connection(self, connection: UnreadConnection) -> None:
        """Note a connection that was not read, when it has ended."""
        if len(self._connections) < MAX_CONNECTIONS:
            self._connections.append(connection)
        else:
            self._too_many = True

    @property
    def truncated(self) -> str:
        """The reason why the recording ends early; "" where it does not."""
        if self._too_many:
            return f"it made more than {MAX_EXCHANGES} requests or {MAX_CONNECTIONS} connections"
        if self._room.short or self._head_room.short:
            return "its requests and responses are longer than is kept of a run"
        return ""

    @property
    def missing(self) -> str:
        """The reason why some requests are not in it at all; "" where all are, if without their bodies."""
        if self._too_many or self._left_out:
            return self.truncated
        return ""

    @property
    def empty(self) -> bool:
        """Whether nothing was noted."""
        return not self._entries and not self._connections

    def exchanges(self, *, bodies: bool = True) -> tuple[Exchange, ...]:
        """All exchanges until now, in the order of their requests; without `bodies`, those of responses are left out."""
        return tuple(
            self._exchange(number, entry, bodies=bodies) for number, entry in enumerate(self._entries)
        )

    def connections(self) -> tuple[UnreadConnection, ...]:
        """The connections that were not read and have ended."""
        return tuple(self._connections)

    def _exchange(self, number: int, entry: _LoggedRequest, *, bodies: bool) -> Exchange:
        verdict, at = entry.verdict, entry.at - self.began_at
        if isinstance(verdict, BlockedRequest):
            return Exchange(number, entry.request, "blocked", at, at, note=verdict.why)

        if isinstance(verdict, RecordedResponse):
            if bodies and entry.earlier_body is not None:
                # The run has sent it, though not this attempt: a replay needs it like what this one has sent.
                body = entry.earlier_body
                chunks = ((0.0, body),) if body else ()
                return Exchange(
                    number,
                    entry.request,
                    "sent",
                    at,
                    at,
                    verdict.status,
                    verdict.headers,
                    chunks,
                    len(body),
                    whole=True,
                    note=verdict.note,
                )
            outcome: Outcome = "held" if verdict.held else "answered"
            return Exchange(
                number,
                entry.request,
                outcome,
                at,
                at,
                verdict.status,
                verdict.headers,
                note=verdict.note,
            )

        ended = verdict.ended_at
        reached = verdict.status != 0 or ended is None
        chunks = verdict.chunks if bodies else ()
        return Exchange(
            number,
            # Not the entry's: the body of a request that passes is known later.
            verdict.request,
            "sent" if reached else "unsent",
            at,
            None if ended is None else ended - self.began_at,
            verdict.status,
            verdict.headers,
            tuple((offset, bytes(chunk)) for offset, chunk in chunks),
            verdict.size,
            verdict.whole,
            verdict.note,
            verdict.usage,
        )
