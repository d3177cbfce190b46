"""Recordings: the request of a run, what it sent and received, and its response.

Nothing here does I/O. `codec.py` turns a `Recording` into bytes and back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from codewords_mcp.runtime.model.provider import CallUsage

Headers = list[tuple[bytes, bytes]]

RecordingChannel = Literal["egress", "gateway", "call"]
"""The boundary that a request passed: the sandbox's network, a model provider through the gateway, or a library service,
a workflow or another route of the runtime itself.
"""
Outcome = Literal["sent", "answered", "held", "blocked", "unsent"]
"""The fate of a request: it was sent; it was answered from a recording; it was held by a dry run, and answered in the
host's place; it was refused; or it never reached its host, as it could not be connected to.
"""

MAX_BODY_BYTES: Final = 1 << 20
"""Bytes of a body, of either direction, that are recorded. A longer body passes and is not `whole`."""
NOT_STORED: Final = "the database took no more of it: its disk was full, or it was away"
"""The reason why a recording is an outline only."""
MAX_NAMED: Final = 3
"""Requests that are named as an obstacle to the replay of a run."""
_MAX_LABEL: Final = 100
_SWITCHING: Final = 101
_FINAL: Final = 200
"""The lowest status of a response that is the last one."""
_OUTLINED: Final = 100
_MAX_URL: Final = 500
REDACTED: Final = "[redacted]"
"""Stands for a credential in a recording of another home."""
_HEADER_COST: Final = 128
"""Bytes of memory that a header takes beside its text."""
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def size_of(headers: Headers) -> int:
    """Bytes of these headers, with what each costs to keep."""
    return len(b"".join(map(b"".join, headers))) + _HEADER_COST * len(headers)


def split_url(url: str) -> SplitResult:
    """The parts of an address; of one that cannot be read, all of it is the path."""
    try:
        return urlsplit(url)
    except ValueError:
        # `urlsplit` refuses an unbalanced bracket in a host, for one, and the request is on record all the
        # same.
        return SplitResult("", "", url, "", "")


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request of a run, without the values of secrets. `body` is None where it was longer than is kept."""

    channel: RecordingChannel
    method: str
    url: str
    headers: Headers
    body: bytes | None
    writes: bool
    """Whether it may change something at its target. Calls that only prompt a model do not."""

    @property
    def key(self) -> str | None:
        """Equal for requests with equal channel, method, address and body; None without the complete body."""
        # Headers do not count: they hold placeholders, dates and names of clients.
        if self.body is None:
            return None
        target = f"{self.channel}\0{self.method}\0{self.url}".encode()
        return hashlib.sha256(target + b"\0" + self.body).hexdigest()

    @property
    def host(self) -> str:
        """The target's host, as in the address."""
        return split_url(self.url).hostname or ""

    @property
    def label(self) -> str:
        """Method, host and path, as long as a person reads."""
        parts = split_url(self.url)
        return f"{self.method} {parts.netloc}{parts.path}"[:_MAX_LABEL]

    @property
    def route(self) -> str:
        """Channel, method, host and path: the address without its query."""
        parts = split_url(self.url)
        return f"{self.channel} {self.method} {parts.netloc}{parts.path}"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its response. Times are seconds since the run's attempt began."""

    number: int
    """Its place among the requests of the attempt, from 0, in the order in which they were made."""
    request: RecordedRequest
    outcome: Outcome
    started: float
    ended: float | None = None
    status: int = 0
    """0 where there was no response."""
    headers: Headers = field(default_factory=Headers)
    chunks: tuple[tuple[float, bytes], ...] = ()
    """(seconds since the request, bytes), as they arrived."""
    size: int = 0
    """Bytes of the response's body, including those that were not kept."""
    whole: bool = False
    """The response was complete and is all kept: only then can it be replayed."""
    note: str = ""
    """Why it was blocked, not sent, or is not whole."""
    usage: CallUsage | None = None
    """The usage of a model call."""

    @property
    def body(self) -> bytes:
        """The kept part of the response's body."""
        return b"".join(chunk for _, chunk in self.chunks)

    @property
    def replayable(self) -> bool:
        """Whether an equal request can be given this response."""
        return self.whole and self.request.body is not None and self.status >= _FINAL

    @property
    def why_not_replayable(self) -> str:
        """The reason why an equal request cannot be given this response; "" where it can."""
        if self.replayable:
            return ""
        if self.note:
            return self.note
        if self.status == _SWITCHING:
            return "what passes a websocket is not kept"
        if self.request.body is None:
            return "its body is longer than is kept, or was not sent to its end"
        if self.size > len(self.body):
            return "its response is longer than is kept"
        return "its response was not read to its end"


@dataclass(frozen=True, slots=True)
class UnreadConnection:
    """A connection of which only bytes were counted. `why` completes "not recorded: …"."""

    host: str
    port: int
    started: float
    ended: float | None
    sent: int
    received: int
    why: str


@dataclass(frozen=True, slots=True)
class RunMessage:
    """The request that a run was asked with, or its answer (`status` is 0 for a request)."""

    method: str = ""
    target: str = ""
    """Path and query."""
    status: int = 0
    headers: Headers = field(default_factory=Headers)
    body: bytes | None = b""
    """None where it was longer than is kept, or not read to its end."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One attempt of a run. `created_at` is µs since 1970; `error` the code of its error, "" without one."""

    run_id: str
    service_id: str
    version: int
    created_at: int
    status: str
    request: RunMessage
    response: RunMessage
    exchanges: tuple[Exchange, ...] = ()
    connections: tuple[UnreadConnection, ...] = ()
    error: str = ""
    seconds: float = 0.0
    """Wall time of the attempt."""
    cost: float = 0.0
    """US dollars of its model calls."""
    truncated: str = ""
    """Why it ends early; "" where it is complete."""

    @property
    def why_no_input(self) -> str:
        """The reason why the run's input is not on the recording; "" where it is."""
        if self.request.body is not None and not self._lacks_body:
            return ""
        if self.truncated == NOT_STORED:
            return self.truncated
        return "no recorded request: its input was not read to its end, or is longer than is kept"

    @property
    def _lacks_body(self) -> bool:
        # Older runtimes stored an empty body for a run that ended before its program read it.
        lengths = [value for name, value in self.request.headers if name.lower() == b"content-length"]
        return not self.request.body and any(value.strip(b"0") for value in lengths)

    @property
    def obstacles(self) -> list[str]:
        """Reasons why this run cannot be replayed whole; empty where it can."""
        found = [f"not recorded: {one.why} {one.host}:{one.port}" for one in self.connections]
        if self.truncated:
            found.append(self.truncated)
        if self.why_no_input:
            found.append(self.why_no_input)
        return list(dict.fromkeys(found))

    @property
    def partial_answers(self) -> list[str]:
        """Requests whose answers a replay has not got, the first of them by name."""
        # What was asked again and answered whole then has an answer for a replay.
        keys = {one.request.key for one in self.sent() if one.replayable}
        partial = [one for one in self.sent() if not one.replayable and one.request.key not in keys]
        found = [f"{one.why_not_replayable}: {one.request.label}" for one in partial[:MAX_NAMED]]
        if len(partial) > MAX_NAMED:
            found.append(f"{len(partial) - MAX_NAMED} further answers are not kept whole")
        return found

    def sent(self) -> Iterator[Exchange]:
        """The exchanges that reached their host."""
        return (one for one in self.exchanges if one.outcome == "sent")

    def outline(self, reason: str) -> Recording:
        """The same cut to what a person needs to see that it ends early, and why: a few KB, whatever was recorded."""
        bare = tuple(
            replace(
                one,
                request=replace(one.request, url=one.request.url[:_MAX_URL], headers=[], body=None),
                headers=[],
                chunks=(),
                whole=False,
            )
            for one in self.exchanges[:_OUTLINED]
        )
        return replace(
            self,
            request=replace(self.request, target=self.request.target[:_MAX_URL], headers=[], body=None),
            response=replace(self.response, headers=[], body=None),
            exchanges=bare,
            connections=self.connections[:_OUTLINED],
            truncated=reason,
        )


def cost_of(exchanges: Iterable[Exchange]) -> float:
    """US dollars of the model calls among these, as far as their prices are known."""
    return sum(((one.usage.cost or 0.0) for one in exchanges if one.usage is not None), 0.0)
