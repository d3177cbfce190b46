"""Responses on their way into a sandbox: decompressed, and without the values of secrets."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

from codewords_mcp.runtime.egress.intercept.credentials import Headers
from codewords_mcp.runtime.secrets.scrub import Scrubber

READABLE: Final = frozenset({b"gzip", b"deflate", b"identity"})
"""Requested encodings: those that can be decompressed here."""
_PIECE: Final = 256 << 10
"""Bytes that are decompressed at once, whatever the compression ratio."""


class UnreadableResponse(Exception):  # an outcome, caught inside this room
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


class _Inflate(Protocol):
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes: ...


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
        if len(coding) > 1 or (coding and coding[0] not in READABLE | {b"x-gzip"}):
            raise UnreadableResponse(
                "its response is compressed in a way that was not requested, and cannot be read"
            )

        self._gzip = bool(coding) and coding[0] != b"deflate"
        self._inflate: _Inflate | None = self._new(b"") if self._gzip else None
        self._deflate = bool(coding) and not self._gzip
        packed = bool(coding) and not bodiless
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
        if self._deflate and self._inflate is None and chunk:
            self._inflate = self._new(chunk)
        if self._inflate is None:
            yield chunk
            return

        try:
            while chunk:
                if self._inflate.eof and self._gzip:
                    self._inflate = self._new(b"")  # another member
                elif self._inflate.eof:
                    return

                piece = self._inflate.decompress(chunk, _PIECE)
                chunk = self._inflate.unconsumed_tail or self._inflate.unused_data
                yield piece
        except zlib.error:
            raise UnreadableResponse("its compressed response is damaged") from None

    def _new(self, first: bytes) -> _Inflate:
        if self._gzip:
            return zlib.decompressobj(16 + zlib.MAX_WBITS)
        bare = len(first) < 1 or first[0] & 0x0F != 8  # some send deflate without the zlib header
        return zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS)
