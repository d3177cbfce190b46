"""Responses on their way into a sandbox: decompressed, and without the values of secrets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from codewords_mcp.common.inflater import DamagedCompression, Inflater
from codewords_mcp.runtime.egress.intercept.credentials import Headers
from codewords_mcp.runtime.secrets.scrub import Scrubber

READABLE: Final = frozenset({b"gzip", b"deflate", b"identity"})
"""Requested encodings: those that can be decompressed here."""


class UnreadableResponse(Exception):  # an outcome, caught inside this package
    """A response that cannot be read, or is damaged. `reason` completes "was refused: …"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def readable(value: bytes) -> bytes:
    """An `Accept-Encoding` reduced to readable encodings."""
    offered = (part.strip() for part in value.split(b","))
    return (
        b", ".join(part for part in offered if part.partition(b";")[0].strip().lower() in READABLE)
        or b"identity"
    )


def _is_of_part(name: bytes, value: bytes) -> bool:
    return name == b"content-range" or (
        name == b"content-type" and value.strip().lower().startswith(b"multipart/byteranges")
    )


class ResponseScrubber:
    """One response:

    `headers` first, then each chunk by `feed`, then `finish`. Raises UnreadableResponse.

    Without `parts` a partial response is refused.
    """

    def __init__(self, scrubber: Scrubber, headers: Headers, *, bodiless: bool, parts: bool = True) -> None:
        if not parts and any(_is_of_part(name.lower(), value) for name, value in headers):
            raise UnreadableResponse(
                "it is a partial response, which was not requested, and may cut a value in two"
            )

        named = [v for n, v in headers if n.lower() == b"content-encoding"]
        tokens = [t.strip().lower() for v in named for t in v.split(b",")]
        coding = [token for token in tokens if token != b"identity"]
        # Chained encodings are hardly used, and each would be another decompression bomb.
        if len(coding) > 1 or (coding and coding[0] not in READABLE | {b"x-gzip"}):
            raise UnreadableResponse(
                "its response is compressed in a way that was not requested, and cannot be read"
            )

        packed = bool(coding) and not bodiless
        if coding:
            self._inflater = Inflater(coding[0].decode("latin-1"))
        else:
            self._inflater = None

        # A mask of the same length keeps Content-Length, ranges and frames correct. A decompressed
        # body has another length anyway.
        self._scrubber = scrubber.another(same_length=not packed)

        if packed:
            gone = {b"content-encoding", b"content-length", b"content-md5", b"digest"}
        else:
            gone = set[bytes]()

        self.headers: Headers = [
            (name, scrubber.whole(value)) for name, value in headers if name.lower() not in gone
        ]

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Scrubbed bytes that can be passed on now."""
        for piece in self._unpacked(chunk):
            if clean := self._scrubber.feed(piece):
                yield clean

    def finish(self) -> bytes:
        """The remaining bytes."""
        return self._scrubber.flush()

    def _unpacked(self, chunk: bytes) -> Iterator[bytes]:
        if self._inflater is None:
            yield chunk
            return

        try:
            yield from self._inflater.feed(chunk)
        except DamagedCompression:
            raise UnreadableResponse("its compressed response is damaged") from None
