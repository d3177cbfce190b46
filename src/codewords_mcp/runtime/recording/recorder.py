"""The seam for recording, replay and dry runs: what passes the egress or the gateway is put to a recorder first.

Both doors do the same: they read the request's body as far as `MAX_BODY`, ask, and do what they are told. No recorder sees the
value of a secret: requests have `[secret NAME]` where the value, or the placeholder of it, would stand, and answers are
scrubbed. What is decided about it is in docs/design/032-nothing-lost-between-processes.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

from codewords_mcp.runtime.secrets.scrub import Scrubber

Headers = list[tuple[bytes, bytes]]
Door = Literal["egress", "gateway"]

MAX_BODY: Final = 1 << 20
"""Bytes of a body, of either direction, that are recorded. What is longer passes, and is not `whole`."""
MAX_CHUNKS: Final = 4096
"""Pieces of an answer that keep their times; the last takes what comes after."""
DONE: Final = b"data: [DONE]"
"""The last event of a model's stream, at which some clients hang up."""
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """What a workflow asks. `body` is None where it is longer than `MAX_BODY`: such a request matches nothing.

    `writes`: it may change something where it goes. By its method; calls that only ask a model do not.
    """

    door: Door
    method: str
    url: str
    headers: Headers
    body: bytes | None
    writes: bool

    @property
    def key(self) -> str | None:
        """Equal for requests that ask the same: door, method, address and body count, headers do not, for they hold
        placeholders, dates and names of clients. None where the body is not all here.
        """
        if self.body is None:
            return None
        asked = f"{self.door}\0{self.method}\0{self.url}".encode()
        return hashlib.sha256(asked + b"\0" + self.body).hexdigest()

    @property
    def host(self) -> str:
        """Where it goes."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """Given in the host's place; nothing goes out."""

    status: int
    headers: Headers
    pieces: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class HeldExchange:
    """Nothing goes out, and the workflow is told so with status 409. `why` completes "it was held: …"."""

    why: str


@dataclass(slots=True)
class RecordedExchange:
    """A request that goes out, and its answer as the workflow got it. `on_end` is told once it is over, however it ended."""

    request: RecordedRequest
    on_end: Callable[[RecordedExchange], None] | None = None
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: int = 0
    """0 as long as there was no answer."""
    headers: Headers = field(default_factory=Headers)
    chunks: list[tuple[float, bytearray]] = field(default_factory=list[tuple[float, bytearray]])
    """(seconds since the request, bytes) as they came."""
    size: int = 0
    """Bytes of the answer's body, those beyond `MAX_BODY` too."""
    whole: bool = False
    """Whether the answer came to its end, and is all here: else it can be looked at, and not given again."""
    _ended: bool = False
    _clock: float = field(default_factory=time.monotonic)
    _scrubber: Scrubber = field(default_factory=lambda: Scrubber({}))

    @property
    def body(self) -> bytes:
        """What is here of the answer's body."""
        return b"".join(chunk for _, chunk in self.chunks)

    def scrubbed_by(self, scrubber: Scrubber) -> None:
        """Take these values out of what is heard from here on; lengths stay, as the headers tell them."""
        self._scrubber = scrubber.another(same_length=True)

    def answered(self, status: int, headers: Headers) -> None:
        """The answer's head."""
        self.status = status
        self.headers = [(name.lower(), self._scrubber.whole(value)) for name, value in headers]

    def received(self, chunk: bytes) -> None:
        """A piece of its body."""
        self._keep(self._scrubber.feed(chunk))

    def end(self, *, whole: bool) -> None:
        """It is over; `whole` says whether the answer came to its end. The first call counts."""
        if self._ended:
            return
        self._ended = True
        self._keep(self._scrubber.flush())
        self.whole = (whole or self.body.rstrip().endswith(DONE)) and self.size <= MAX_BODY
        if self.on_end is not None:
            self.on_end(self)

    def _keep(self, clean: bytes) -> None:
        room = max(MAX_BODY - self.size, 0)
        self.size += len(clean)
        if not (kept := clean[:room]):
            return
        if len(self.chunks) < MAX_CHUNKS:
            self.chunks.append((time.monotonic() - self._clock, bytearray(kept)))
        else:
            self.chunks[-1][1].extend(kept)

    def again(self, *, paced: bool = False) -> RecordedResponse:
        """The same answer, for a request that asks the same; `paced` in the time that it took."""
        return RecordedResponse(self.status, self.headers, self._pieces(paced=paced))

    async def _pieces(self, *, paced: bool) -> AsyncIterator[bytes]:
        since = time.monotonic()
        for at, chunk in list(self.chunks):
            if paced and (left := at - (time.monotonic() - since)) > 0:
                await asyncio.sleep(left)
            yield bytes(chunk)


Verdict = RecordedResponse | HeldExchange | RecordedExchange | None
"""None: it goes out, and is not heard."""


class Recorder(Protocol):
    """What is asked before each request of a run goes out."""

    async def asked(self, request: RecordedRequest) -> Verdict:
        """What to do with it. The request waits meanwhile. An `RecordedExchange` is to be made of this request."""
        ...


@dataclass(frozen=True, slots=True)
class RecordingSession:
    """A run's recorder, and the values that it must not see."""

    recorder: Recorder
    scrubber: Scrubber

    async def asked(
        self,
        door: Door,
        method: str,
        url: bytes,
        headers: Headers,
        body: bytes | None,
        *,
        writes: bool,
    ) -> Verdict:
        """The recorder's word on a request, of which it sees what it may."""
        clean = self.scrubber.whole
        request = RecordedRequest(
            door,
            method,
            clean(url).decode("latin-1"),
            [(name.lower(), clean(value)) for name, value in headers],
            None if body is None else clean(body),
            writes,
        )
        verdict = await self.recorder.asked(request)
        if isinstance(verdict, RecordedExchange):
            verdict.scrubbed_by(self.scrubber)
        return verdict


class Tapes:
    """Which runs have a recorder, of one runtime."""

    def __init__(self) -> None:
        self._by_run: dict[str, RecordingSession] = {}

    def put(self, run_id: str, tape: RecordingSession) -> None:
        """From here on what this run asks is put to it."""
        self._by_run[run_id] = tape

    def of(self, run_id: str | None) -> RecordingSession | None:
        """The recorder of a run; of who is no run, None."""
        if run_id and self._by_run:
            return self._by_run.get(run_id)
        return None

    def drop(self, run_id: str) -> None:
        """The run is over. Idempotent."""
        self._by_run.pop(run_id, None)


async def read_ahead(body: AsyncIterator[bytes]) -> tuple[bytes | None, AsyncIterator[bytes]]:
    """(the body, None where it is longer than `MAX_BODY`; the same body, to be sent). Raises what `body` does."""
    pieces: list[bytes] = []
    size = 0
    async for piece in body:
        pieces.append(piece)
        size += len(piece)
        if size > MAX_BODY:
            return None, _after(pieces, body)
    return b"".join(pieces), _after(pieces, body)


async def _after(first: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for piece in first:
        yield piece
    async for piece in rest:
        yield piece
