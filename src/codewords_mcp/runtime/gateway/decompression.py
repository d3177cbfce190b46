"""Decompression of responses that a provider compressed although it was asked not to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import structlog

from codewords_mcp.common.inflater import DamagedCompression, Inflater

log = structlog.get_logger(__name__)


class Decompressor(Protocol):
    """Decompresses a response incrementally."""

    def open(self, chunk: bytes) -> Iterator[bytes]:
        """Decompress a chunk, in pieces of bounded size. Raises DecompressionError."""
        ...


class DecompressionError(Exception):
    """The response cannot be decompressed here; the usage of its call is then estimated."""


class InflatingDecompressor:
    """gzip and deflate; `encoding` is the one that the response names."""

    def __init__(self, encoding: str) -> None:
        self._inflater = Inflater(encoding)

    def open(self, chunk: bytes) -> Iterator[bytes]:
        """See `Decompressor`."""
        try:
            yield from self._inflater.feed(chunk)
        except DamagedCompression:
            log.warning("provider response damaged, usage estimated")
            raise DecompressionError from None


class UnsupportedDecompressor:
    """brotli and zstd.

    A response in one of these passes unchanged, and the log says that its call was estimated.
    """

    def open(self, chunk: bytes) -> Iterator[bytes]:
        """See `Decompressor`."""
        # The gateway asks for `identity`, so these are rare, and their libraries are large.
        del chunk
        log.warning("provider response compressed in an unsupported encoding, usage estimated")
        raise DecompressionError


DECOMPRESSORS: dict[str, Callable[[], Decompressor]] = {
    "gzip": partial(InflatingDecompressor, "gzip"),
    "x-gzip": partial(InflatingDecompressor, "gzip"),
    "deflate": partial(InflatingDecompressor, "deflate"),
    "br": UnsupportedDecompressor,
    "zstd": UnsupportedDecompressor,
}
