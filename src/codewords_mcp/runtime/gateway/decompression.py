"""Incremental decompression of responses, in pieces of bounded size."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

MAX_OPENED_BYTES = 1 << 20
"""Bytes that are decompressed at once."""
_ANY_ZLIB = 47


class Decompressor(Protocol):
    """Decompresses a response incrementally."""

    def open(self, chunk: bytes) -> Iterator[bytes]:
        """Decompress a chunk, in pieces of at most `MAX_OPENED_BYTES`. Raises DecompressionError."""
        ...


class DecompressionError(Exception):
    """The response is not compressed as its header says."""


class ZlibDecompressor:
    """gzip, also of several members, and deflate. zlib detects the format by its header."""

    def __init__(self) -> None:
        self._decompressor = zlib.decompressobj(_ANY_ZLIB)

    def open(self, chunk: bytes) -> Iterator[bytes]:
        """See `Opener`."""
        while chunk:
            if self._decompressor.eof:
                self._decompressor = zlib.decompressobj(_ANY_ZLIB)
            try:
                yield self._decompressor.decompress(chunk, MAX_OPENED_BYTES)
            except zlib.error:
                raise DecompressionError from None
            chunk = self._decompressor.unconsumed_tail or self._decompressor.unused_data


class BrotliDecompressor:
    """brotli."""

    def __init__(self) -> None:
        import brotli  # pyright: ignore[reportMissingTypeStubs]

        library = cast("Any", brotli)
        self._decompressor: Any = library.Decompressor()
        self._failures: type[Exception] = library.error

    def open(self, chunk: bytes) -> Iterator[bytes]:
        """See `Opener`."""
        try:
            yield self._decompressor.process(chunk, output_buffer_limit=MAX_OPENED_BYTES)
            while not self._decompressor.can_accept_more_data():
                yield self._decompressor.process(b"", output_buffer_limit=MAX_OPENED_BYTES)
        except self._failures:
            raise DecompressionError from None


DECOMPRESSORS: dict[str, Callable[[], Decompressor]] = {
    "gzip": ZlibDecompressor, "x-gzip": ZlibDecompressor, "deflate": ZlibDecompressor, "br": BrotliDecompressor,
}  # fmt: skip
