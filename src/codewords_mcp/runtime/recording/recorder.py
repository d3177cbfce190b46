"""Recording, replay and dry runs: the egress proxy and the gateway put each request of a run to its
recorder.

Both read the request's body up to `MAX_BODY_BYTES`, ask the recorder, and follow its verdict. No
recorder sees the value of a secret. Requests have `[secret NAME]` in place of the value or its
placeholder, and responses are scrubbed. The decisions are in
docs/design/032-nothing-lost-between-processes.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

from codewords_mcp.runtime.secrets.scrub import Scrubber

Headers = list[tuple[bytes, bytes]]
RecordingChannel = Literal["egress", "gateway"]

MAX_BODY_BYTES: Final = 1 << 20
"""Bytes of a body, of either direction, that are recorded. A longer body passes and is not `whole`.
"""
MAX_CHUNKS: Final = 4096
"""Chunks of a response with their own time. The last one takes the rest."""
STREAM_END: Final = b"data: [DONE]"
"""The last event of a model's stream. Some clients close the connection after it."""
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request of a workflow.

    `body` is None if it is longer than `MAX_BODY_BYTES`: it then matches nothing.

    `writes`: it may change state at its target. Decided by its method; calls that only prompt a
    model do not.
    """

    channel: RecordingChannel
    method: str
    url: str
    headers: Headers
    body: bytes | None
    writes: bool

    @property
    def key(self) -> str | None:
        """Equal for requests with equal channel, method, address and body; None without the
        complete body.
        """
        # Headers do not count: they hold placeholders, dates and names of clients.
        if self.body is None:
            return None
        target = f"{self.channel}\0{self.method}\0{self.url}".encode()
        return hashlib.sha256(target + b"\0" + self.body).hexdigest()

    @property
    def host(self) -> str:
        """The target's host."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """Returned in the host's place. Nothing is sent."""

    status: int
    headers: Headers
    pieces: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class BlockedRequest:
    """Nothing is sent, and the workflow gets status 409. `why` completes "the request was not sent: …"."""

    why: str


@dataclass(slots=True)
class RecordedExchange:
    """A sent request, and its response as the workflow got it.

    `on_end` is called once when it ends in any way.
    """

    request: RecordedRequest
    on_end: Callable[[RecordedExchange], None] | None = None
    began: datetime = field(default_factory=partial(datetime.now, UTC))
    status: int = 0
    """0 until there is a response."""
    headers: Headers = field(default_factory=Headers)
    chunks: list[tuple[float, bytearray]] = field(default_factory=list[tuple[float, bytearray]])
    """(seconds since the request, bytes) as they arrived."""
    size: int = 0
    """Bytes of the response's body, including those beyond `MAX_BODY_BYTES`."""
    whole: bool = False
    """The response was complete and is all recorded: only then can it be replayed."""
    _ended: bool = False
    _clock: float = field(default_factory=time.monotonic)
    _scrubber: Scrubber = field(default_factory=partial(Scrubber, {}))

    @property
    def body(self) -> bytes:
        """The recorded part of the response's body."""
        return b"".join(chunk for _, chunk in self.chunks)

    def scrub_with(self, scrubber: Scrubber) -> None:
        """Remove these values from the bytes recorded from here on."""
        # Lengths stay, as the headers state them.
        self._scrubber = scrubber.another(same_length=True)

    def record_response(self, status: int, headers: Headers) -> None:
        """Record the response's head."""
        self.status = status
        self.headers = [(name.lower(), self._scrubber.whole(value)) for name, value in headers]

    def record_chunk(self, chunk: bytes) -> None:
        """Record a chunk of its body."""
        self._append(self._scrubber.feed(chunk))

    def end(self, *, whole: bool) -> None:
        """End the exchange.

        `whole` says whether the response was complete. Only the first call counts.
        """
        if self._ended:
            return
        self._ended = True
        # Bytes that could have begun a value are kept back until the end.
        self._append(self._scrubber.flush())
        # A client that closes after the last event of a stream has the complete response.
        self.whole = (whole or self.body.rstrip().endswith(STREAM_END)) and self.size <= MAX_BODY_BYTES
        if self.on_end is not None:
            self.on_end(self)

    def _append(self, clean: bytes) -> None:
        capacity = max(MAX_BODY_BYTES - self.size, 0)
        self.size += len(clean)
        if not (recordable := clean[:capacity]):
            return
        # Beyond the limit the last chunk grows: times are lost, bytes are not.
        if len(self.chunks) < MAX_CHUNKS:
            self.chunks.append((time.monotonic() - self._clock, bytearray(recordable)))
        else:
            self.chunks[-1][1].extend(recordable)

    def replay(self, *, paced: bool = False) -> RecordedResponse:
        """The same response, for an equal request; with the original delays if `paced`."""
        return RecordedResponse(self.status, self.headers, self._pieces(paced=paced))

    async def _pieces(self, *, paced: bool) -> AsyncIterator[bytes]:
        since = time.monotonic()
        # A copy: the exchange may still be recorded while it is replayed.
        for at, chunk in list(self.chunks):
            if paced and (remaining := at - (time.monotonic() - since)) > 0:
                await asyncio.sleep(remaining)
            yield bytes(chunk)


Verdict = RecordedResponse | BlockedRequest | RecordedExchange | None
"""None: the request is sent and not recorded."""


class Recorder(Protocol):
    """Decides about each request of a run before it is sent."""

    async def decide(self, request: RecordedRequest) -> Verdict:
        """The verdict on a request, which waits for it.

        A `RecordedExchange` must be made of this request.
        """
        ...


@dataclass(frozen=True, slots=True)
class RecordingSession:
    """A run's recorder, and the values that it must not see."""

    recorder: Recorder
    scrubber: Scrubber

    async def decide(
        self,
        channel: RecordingChannel,
        method: str,
        url: bytes,
        headers: Headers,
        body: bytes | None,
        *,
        writes: bool,
    ) -> Verdict:
        """The recorder's verdict on a request, of which it sees the scrubbed form."""
        # Before the recorder sees it: a recording may be stored where secrets must not be.
        clean = self.scrubber.whole
        request = RecordedRequest(
            channel,
            method,
            clean(url).decode("latin-1"),
            [(name.lower(), clean(value)) for name, value in headers],
            None if body is None else clean(body),
            writes,
        )
        verdict = await self.recorder.decide(request)
        if isinstance(verdict, RecordedExchange):
            verdict.scrub_with(self.scrubber)
        return verdict


class RecorderRegistry:
    """The runs of one runtime that have a recorder."""

    def __init__(self) -> None:
        self._by_run: dict[str, RecordingSession] = {}

    def add(self, run_id: str, session: RecordingSession) -> None:
        """Put all later requests of this run to the recorder."""
        self._by_run[run_id] = session

    def of(self, run_id: str | None) -> RecordingSession | None:
        """The recorder of a run; None without one, or outside runs."""
        # Asked for each request: most runtimes have no recorder at all.
        if run_id and self._by_run:
            return self._by_run.get(run_id)
        return None

    def remove(self, run_id: str) -> None:
        """Remove a run that is over. Idempotent."""
        self._by_run.pop(run_id, None)


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
