"""Recording, replay and dry runs: the egress proxy and the gateway put each request of a run to its
recorder.

Both read the request's body up to `MAX_BODY_BYTES`, ask the recorder, and follow its verdict. No
recorder sees the value of a secret. Requests have `[secret NAME]` in place of the value or its
placeholder, and responses are scrubbed. The decisions are in
docs/design/032-nothing-lost-between-processes.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol

from codewords_mcp.runtime.model.provider import CallUsage
from codewords_mcp.runtime.recording.exchanges import (
    MAX_BODY_BYTES,
    Headers,
    RecordedRequest,
    size_of,
)
from codewords_mcp.runtime.recording.packed import why_hidden
from codewords_mcp.runtime.recording.stream_scrubber import NothingSecret, StreamScrubber

MAX_CHUNKS: Final = 4096
"""Chunks of a response with their own time. The last one takes the rest."""
STREAM_END: Final = b"data: [DONE]"
"""The last event of a model's stream. Some clients close the connection after it."""


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """Returned in the host's place. Nothing is sent. `held`: it stands for a write that was held, not for a recorded one."""

    status: int
    headers: Headers
    pieces: AsyncIterator[bytes]
    held: bool = False
    note: str = ""
    earlier_body: bytes | None = None
    """The body, where an earlier attempt at the same run has sent the request and was given this response."""
    silence: float = 0.0
    """Seconds before its first byte, head included."""


@dataclass(frozen=True, slots=True)
class BlockedRequest:
    """Nothing is sent, and the workflow gets status 409. `why` completes "the request was not sent: …"."""

    why: str


@dataclass(slots=True)
class Room:
    """Bytes that a run's recording may still take."""

    left: int
    short: bool = False
    """Something did not fit."""

    def take(self, size: int) -> bool:
        """Take room, if there is as much."""
        if size > self.left:
            self.short = True
            return False
        self.left -= size
        return True


@dataclass(slots=True)
class OpenExchange:
    """A sent request, and its response as the workflow got it.

    `on_end` is called once when it ends in any way.
    """

    request: RecordedRequest
    on_end: Callable[[OpenExchange], None] | None = None
    began: datetime = field(default_factory=partial(datetime.now, UTC))
    ended_at: float | None = None
    """Monotonic time of its end, None before it."""
    status: int = 0
    """0 until there is a response."""
    headers: Headers = field(default_factory=Headers)
    chunks: list[tuple[float, bytearray]] = field(default_factory=list[tuple[float, bytearray]])
    """(seconds since the request, bytes) as they arrived."""
    size: int = 0
    """Bytes of the response's body, including those beyond `MAX_BODY_BYTES`."""
    whole: bool = False
    """The response was complete and is all recorded: only then can it be replayed."""
    complete: bool = True
    """No byte of the response so far was left out."""
    began_at: float = field(default_factory=time.monotonic)
    """Monotonic time of the request."""
    usage: CallUsage | None = None
    """What a model call used, set before its end."""
    note: str = ""
    """Why there is no response."""
    sends: Headers = field(default_factory=Headers)
    """Headers that go out in the place of the request's own of these names."""
    unsent: bool = False
    """No byte of it reached its host, for certain."""
    no_answer: bool = False
    """The response tells nothing of what became of the request, since the runtime failed itself: it is no whole one."""
    _request_size: int = 0
    _request_pieces: list[bytes] = field(default_factory=list[bytes])
    _ended: bool = False
    _room: Room = field(default_factory=partial(Room, MAX_BODY_BYTES))
    _head_room: Room = field(default_factory=partial(Room, MAX_BODY_BYTES))
    _scrubber: StreamScrubber = field(default_factory=NothingSecret)

    @property
    def body(self) -> bytes:
        """The recorded part of the response's body."""
        return b"".join(chunk for _, chunk in self.chunks)

    def fill(self, room: Room, head_room: Room) -> None:
        """Take the bytes of bodies and of heads from this room, which other exchanges of the run share."""
        self._room = room
        self._head_room = head_room

    def scrub_with(self, scrubber: StreamScrubber) -> None:
        """Remove these values from the bytes recorded from here on."""
        # Lengths stay, as the headers state them.
        if scrubber:
            self._scrubber = scrubber.another(same_length=True)

    def record_request_piece(self, piece: bytes) -> None:
        """Record a piece of the request's body, where it was not known when the exchange began."""
        self._request_size += len(piece)
        if self._request_size > MAX_BODY_BYTES or not self._room.take(len(piece)):
            # As too long, also where only the room was short: a part must not pass for the complete body.
            self._request_size = MAX_BODY_BYTES + 1
            self._request_pieces.clear()
        else:
            self._request_pieces.append(piece)

    def request_body(self) -> bytes | None:
        """The pieces of the request's body until now; None for one longer than is kept."""
        if self._request_size > MAX_BODY_BYTES:
            return None
        return b"".join(self._request_pieces)

    def end_request(self, body: bytes | None, *, writes: bool) -> None:
        """Record that the request is complete, and has this body."""
        self._request_pieces.clear()
        if body and self._scrubber:
            hidden = why_hidden(body, self.request.headers, self._scrubber)
            self.note = self.note or hidden
            body = None if hidden else self._scrubber.another().whole(body)
        self.request = replace(self.request, body=body, writes=writes)

    def record_response(self, status: int, headers: Headers) -> None:
        """Record the response's head."""
        self.status = status
        self._record_headers(headers)

    def record_trailers(self, headers: Headers) -> None:
        """Record headers that came after the body, as gRPC's status does; they stand with the others."""
        self._record_headers(headers)

    def _record_headers(self, headers: Headers) -> None:
        if self._head_room.take(size_of(headers)):
            self.headers += [(name.lower(), self._scrubber.whole(value)) for name, value in headers]
        else:
            self.complete = False

    def record_chunk(self, chunk: bytes) -> None:
        """Record a chunk of its body."""
        # What is not kept is not searched either.
        if self.size >= MAX_BODY_BYTES:
            self.count(len(chunk))
        else:
            self._append(self._scrubber.feed(chunk))

    def count(self, size: int) -> None:
        """Count bytes of the body that are not kept."""
        self.size += size
        self.complete = self.complete and not size

    def outgoing_headers(self, headers: Headers) -> Headers:
        """The headers to send, of a request that has these."""
        if not self.sends:
            return headers
        names = {name for name, _ in self.sends}
        return [(name, value) for name, value in headers if name.lower() not in names] + self.sends

    def end(self, *, whole: bool) -> None:
        """End the exchange.

        `whole` says whether the response was complete. Only the first call counts.
        """
        if self._ended:
            return
        self._ended = True
        self.ended_at = time.monotonic()
        self._request_pieces.clear()
        if self._scrubber:
            self._end_scrubbing()
        # A client that closes after the last event of a stream has the complete response.
        self.whole = (
            (whole or self.body.rstrip().endswith(STREAM_END))
            and self.complete
            and self.size <= MAX_BODY_BYTES
            and not self.no_answer
        )
        if self.on_end is not None:
            self.on_end(self)

    def _end_scrubbing(self) -> None:
        # Bytes that could have begun a value are kept back until the end.
        self._append(self._scrubber.flush())
        hidden = why_hidden(self.body, self.headers, self._scrubber)
        if hidden:
            self.note = self.note or hidden
            self.chunks.clear()
            self.complete = False

    def _append(self, clean: bytes) -> None:
        capacity = max(MAX_BODY_BYTES - self.size, 0)
        self.size += len(clean)
        recordable = clean[:capacity]
        if not recordable or not self._room.take(len(recordable)):
            self.complete = self.complete and not clean
            return
        # Beyond the limit the last chunk grows: times are lost, bytes are not.
        if len(self.chunks) < MAX_CHUNKS:
            self.chunks.append((time.monotonic() - self.began_at, bytearray(recordable)))
        else:
            self.chunks[-1][1].extend(recordable)

    def replay(self, *, paced: bool = False) -> RecordedResponse:
        """The same response, for an equal request; with the original delays if `paced`."""
        # A copy: the exchange may still be recorded while it is replayed.
        pieces = replayed_pieces([(at, bytes(chunk)) for at, chunk in self.chunks], paced=paced)
        return RecordedResponse(self.status, self.headers, pieces)


async def replayed_pieces(chunks: Iterable[tuple[float, bytes]], *, paced: bool) -> AsyncIterator[bytes]:
    """Recorded chunks as the body of a response; each at its time if `paced`."""
    since = time.monotonic()
    for at, chunk in chunks:
        # Against the begin and not the chunk before, so that small delays do not add up.
        if paced and (remaining := at - (time.monotonic() - since)) > 0:
            await asyncio.sleep(remaining)
        yield chunk


Verdict = RecordedResponse | BlockedRequest | OpenExchange | None
"""None: the request is sent and not recorded."""


class LiveRecorder:
    """Lets every request be sent, and recorded."""

    answers = False

    async def decide(self, request: RecordedRequest) -> Verdict:
        """See `Recorder`."""
        return OpenExchange(request)


class EndedRecorder:
    """Blocks every request: the run that it was made for is over."""

    answers = True

    async def decide(self, request: RecordedRequest) -> Verdict:  # noqa: ARG002  # of any
        """See `Recorder`."""
        return BlockedRequest("its run is over")


class Recorder(Protocol):
    """Decides about each request of a run before it is sent."""

    @property
    def answers(self) -> bool:
        """Whether it may answer in a host's place, or block a request: then a host is connected to only after the verdict.

        Else every request is sent: one that passes untouched is recorded by `RecordingSession.observe`, without a question.
        """
        ...

    async def decide(self, request: RecordedRequest) -> Verdict:
        """The verdict on a request, which waits for it.

        A `OpenExchange` must be made of this request.
        """
        ...


async def read_ahead(body: AsyncIterator[bytes]) -> tuple[bytes | None, AsyncIterator[bytes]]:
    """(the body, None if longer than `MAX_BODY_BYTES`; the same body, to be sent).

    Raises whatever `body` raises.
    """
    pieces: list[bytes] = []
    size = 0
    async for piece in body:
        pieces.append(piece)
        size += len(piece)
        # What was read is sent first, then the rest as it comes.
        if size > MAX_BODY_BYTES:
            return None, _after(pieces, body)
    return b"".join(pieces), _after(pieces, body)


async def _after(first: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for piece in first:
        yield piece
    async for piece in rest:
        yield piece
