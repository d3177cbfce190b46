"""Decompress gzip and deflate in pieces of bounded size, whatever the compression ratio."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

PIECE_BYTES = 256 << 10
"""Bytes that are decompressed at once: the memory that a small, hostile chunk can take."""
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS
_GZIP_MAGIC = 0x1F
_ZLIB_METHOD = 8


class DamagedCompression(Exception):
    """The data is not compressed as its header says."""


class Inflater:
    """One body in gzip, also of several members, or in deflate, with or without its zlib header.

    `encoding` is the content coding that the server names. gzip and zlib are told apart by the
    first byte, since servers confuse the names; only `deflate` may lack a header. Bytes that follow
    the end and begin no further gzip member are ignored, as HTTP clients and gzip(1) do.
    """

    def __init__(self, encoding: str) -> None:
        # Nearly any bytes begin a deflate stream without a header, so that damage would go unnoticed.
        self._may_lack_header = encoding == "deflate"
        self._engine = None
        self._is_gzip = False
        self._ended = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Decompress a chunk, in pieces of at most `PIECE_BYTES`. Raises DamagedCompression."""
        while chunk and not self._ended:
            if self._engine is None:
                self._is_gzip = chunk[0] == _GZIP_MAGIC
                self._engine = zlib.decompressobj(self._window_bits(chunk[0]))
            elif self._engine.eof:
                self._ended = not self._is_gzip or chunk[0] != _GZIP_MAGIC
                self._engine = None
                continue

            try:
                piece = self._engine.decompress(chunk, PIECE_BYTES)
            except zlib.error:
                raise DamagedCompression from None

            chunk = self._engine.unconsumed_tail or self._engine.unused_data
            if piece:
                yield piece

    @property
    def is_whole(self) -> bool:
        """Whether the data that was fed ends where a member ends."""
        return self._ended or (self._engine is not None and self._engine.eof)

    def _window_bits(self, first: int) -> int:
        if self._may_lack_header and first != _GZIP_MAGIC and first & 0x0F != _ZLIB_METHOD:
            return _RAW
        return _GZIP_OR_ZLIB


def inflate(body: bytes, encoding: str, most: int) -> bytes | None:
    """A whole body without its compression; None for one that is damaged, cut off, or longer than `most` bytes."""
    inflater = Inflater(encoding)
    pieces: list[bytes] = []
    try:
        for piece in inflater.feed(body):
            pieces.append(piece)
            most -= len(piece)
            if most < 0:
                return None
    except DamagedCompression:
        return None
    if not inflater.is_whole:
        return None
    return b"".join(pieces)
