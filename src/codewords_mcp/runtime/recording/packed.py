"""Compressed bodies in recordings: they are kept as they were sent, unless they hide the value of a secret."""

from __future__ import annotations

from typing import Final

from codewords_mcp.common.inflater import DamagedCompression, Inflater
from codewords_mcp.runtime.recording.exchanges import Headers
from codewords_mcp.runtime.recording.stream_scrubber import StreamScrubber

MAX_UNPACKED: Final = 8 << 20
"""Bytes of a body that are searched after they are decompressed. A longer one is not kept."""
_READABLE: Final = frozenset({"gzip", "x-gzip", "deflate"})


def coding_of(headers: Headers) -> str:
    """The coding by which a body is compressed; "" without one."""
    named = b",".join(value for name, value in headers if name.lower() == b"content-encoding")
    coding = named.decode("latin-1").strip().lower()
    if coding == "identity":
        return ""
    return coding


def hides_nothing(body: bytes, coding: str, scrubber: StreamScrubber) -> bool:
    """Whether a compressed body certainly holds no value of a secret."""
    if not scrubber:
        return True
    if coding not in _READABLE:
        return False

    pieces: list[bytes] = []
    size = 0
    try:
        for piece in Inflater(coding).feed(body):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_UNPACKED:
                return False
    except DamagedCompression:
        return False

    plain = b"".join(pieces)
    return scrubber.whole(plain) is plain
