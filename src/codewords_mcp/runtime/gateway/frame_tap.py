"""Reads usage from Amazon's event streams, as Bedrock sends them."""

from __future__ import annotations

from base64 import b64decode

from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.gateway.pieces import Pieces
from codewords_mcp.runtime.gateway.providers import Flavor
from codewords_mcp.runtime.gateway.reading import (
    MAX_EVENT_BYTES,
    Reading,
    merged,
    parsed,
    reading_of,
)
from codewords_mcp.runtime.gateway.usage import Json

# Lengths and checksum before a frame's headers, and with the checksum at its end.
_FRAME_PRELUDE, _FRAME_OVERHEAD = 12, 16


class FrameTap:
    """For Amazon's event streams: frames of a length, headers and a payload."""

    def __init__(self, flavor: Flavor) -> None:
        self._flavor: Flavor = flavor
        self._pending = Pieces()
        self._needed = _FRAME_OVERHEAD
        """Bytes of the frame that has begun, as far as known."""
        self._first: Json = {}
        self._last: Json = {}
        self._events = 0
        self._blind = False

    def feed(self, chunk: bytes) -> bytes:
        """See `Tap`."""
        if self._blind:
            return chunk

        self._pending.append(chunk)
        if self._pending.size < self._needed:
            return chunk

        data = self._pending.take()
        self._needed = _FRAME_OVERHEAD
        start = 0
        while len(data) - start >= _FRAME_OVERHEAD:
            length = int.from_bytes(data[start : start + 4])
            headers = int.from_bytes(data[start + 4 : start + 8])
            # Anything else is no such stream, and is not kept.
            if length > MAX_EVENT_BYTES or length < headers + _FRAME_OVERHEAD:
                self._blind = True
                return chunk
            if len(data) - start < length:
                self._needed = length
                break
            self._note(data[start + _FRAME_PRELUDE + headers : start + length - 4])
            start += length

        self._pending.append(data[start:])
        return chunk

    def _note(self, payload: bytes) -> None:
        self._events += 1
        event = object_of(parsed(payload))
        if isinstance(event.get("bytes"), str):
            try:
                event = object_of(parsed(b64decode(event["bytes"])))
            except ValueError:
                return

        if event.get("type") == "message_start":
            self._first = event
        elif "usage" in event:
            self._last = event

    def rest(self) -> bytes:
        """See `Tap`."""
        return b""

    def read(self) -> Reading:
        """See `Tap`."""
        found = merged(self._first, self._last) if self._flavor == "messages" else self._last
        reading = reading_of(self._flavor, found)
        reading.events = self._events
        reading.whole = bool(self._last) and reading.tokens is not None
        return reading
