"""The seam for what wants to hear, answer or hold the requests of a workflow: recording, replay, dry runs.

A tap sees a request as the workflow made it, with placeholders, and an answer as the workflow gets it, scrubbed: it never
holds a value. What is decided about recordings is in docs/design/024-host-rules.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request, before its body. `target` is path and query, percent-encoded; header names are as they came."""

    host: str
    port: int
    method: str
    target: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that a tap gives in the host's place."""

    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""


class Exchange(Protocol):
    """One request and its answer, heard. No method may block or raise."""

    def sent(self, chunk: bytes) -> None:
        """A piece of the request's body; empty at its end."""
        ...

    def answered(self, status: int, headers: Headers) -> None:
        """The answer's head."""
        ...

    def received(self, chunk: bytes) -> None:
        """A piece of the answer's body; empty at its end. Without that end the answer broke off."""
        ...


class Tap(Protocol):
    """Asked before each request of a sandbox goes out."""

    async def ask(self, request: RequestHead, body: AsyncIterator[bytes]) -> Answer | Exchange | None:
        """An `Answer`: nothing goes out, and the workflow gets this. An `Exchange`: it goes out, and is heard. None: it goes
        out. The request waits meanwhile, so a tap holds one back by taking its time. `body` may be read only by a tap that
        answers.
        """
        ...
