"""Bytes of an event that has not ended: an event may be megabytes long, in thousands of chunks."""

from __future__ import annotations

_SEAM_BYTES = 3
"""Bytes of a separator that may stand at the end of a chunk while its last one has not come."""


class Pieces:
    """Collects chunks without joining them, so that each byte is copied and searched a few times at the most."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._tail = b""
        self.size = 0

    def append(self, chunk: bytes) -> None:
        """Add a chunk."""
        if chunk:
            self._chunks.append(chunk)
            self._tail = (self._tail + chunk[-_SEAM_BYTES:])[-_SEAM_BYTES:]
            self.size += len(chunk)

    def seam(self, chunk: bytes) -> bytes:
        """The chunk with the last bytes before it: all that a separator can stand in that was not there before."""
        return self._tail + chunk

    def take(self) -> bytes:
        """Remove all bytes and return them."""
        joined = b"".join(self._chunks)
        self._chunks, self._tail, self.size = [], b"", 0
        return joined
