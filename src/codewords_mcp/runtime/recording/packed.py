"""Compressed bodies in recordings: they are kept as they were sent, unless they hide the value of a secret."""

from __future__ import annotations

from typing import Final

from codewords_mcp.common.inflater import DamagedCompression, Inflater
from codewords_mcp.runtime.recording.exchanges import Headers
from codewords_mcp.runtime.recording.stream_scrubber import StreamScrubber

MAX_UNPACKED: Final = 8 << 20
"""Bytes of a body that are searched after they are decompressed. A longer one is not kept."""
MAX_LAYERS: Final = 4
"""Compressions within one another that are undone."""

HIDES_VALUE: Final = "its compressed body holds the value of a secret, so it is not kept"
TOO_LONG: Final = "its body is too long to be searched for secrets once it is decompressed, so it is not kept"
_UNREADABLE: Final = (
    "its body is compressed by {coding}, which cannot be searched for secrets, so it is not kept"
)
_DAMAGED: Final = (
    "its body is not compressed as its header says and cannot be searched for secrets, so it is not kept"
)
_READABLE: Final = frozenset({"gzip", "x-gzip", "deflate"})
_NAMED: Final = frozenset({"br", "compress", "x-compress", "dcb", "dcz", "zstd"})
"""Other codings by their registered names. A header may say anything, which is not repeated."""
_GZIP: Final = b"\x1f\x8b\x08"


def codings_of(headers: Headers) -> list[str]:
    """The codings by which a body is compressed, in the order in which they were applied."""
    named = b",".join(value for name, value in headers if name.lower() == b"content-encoding")
    words = (word.strip() for word in named.decode("latin-1").lower().split(","))
    return [word for word in words if word and word != "identity"]


def why_hidden(body: bytes, headers: Headers, scrubber: StreamScrubber) -> str:
    """The reason why a body may hide the value of a secret within a compression; "" if it certainly hides none.

    A file in gzip that no header names, also within another compression, is searched too.
    """
    codings = codings_of(headers)
    if not scrubber or not body or not (codings or body.startswith(_GZIP)):
        return ""
    if len(codings) > MAX_LAYERS:
        return _UNREADABLE.format(coding=f"more than {MAX_LAYERS} codings")

    # The coding that was applied last is the outermost one.
    for coding in reversed(codings):
        if coding not in _READABLE:
            return _UNREADABLE.format(coding=coding if coding in _NAMED else "an unknown coding")
        try:
            unpacked = _unpacked(body, coding)
        except DamagedCompression:
            return _DAMAGED
        if unpacked is None:
            return TOO_LONG
        body = unpacked
    return _why_hidden_within(body, scrubber)


def _why_hidden_within(body: bytes, scrubber: StreamScrubber) -> str:
    for _ in range(MAX_LAYERS):
        # A scrubber that finds nothing returns the same object.
        if scrubber.whole(body) is not body:
            return HIDES_VALUE
        if not body.startswith(_GZIP):
            return ""
        try:
            unpacked = _unpacked(body, "gzip")
        except DamagedCompression:
            # It only begins like such a file.
            return ""
        if unpacked is None:
            return TOO_LONG
        body = unpacked
    return TOO_LONG


def _unpacked(body: bytes, coding: str) -> bytes | None:
    """The decompressed body; None for one that is too long. Raises DamagedCompression."""
    pieces: list[bytes] = []
    size = 0
    for piece in Inflater(coding).feed(body):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_UNPACKED:
            return None
    return b"".join(pieces)
