"""Reads a call's usage from the response as it passes, without delaying it.

Nothing is parsed while bytes pass: the last event with usage is stored, and read at the end. The
response is changed in one case. OpenAI's streams report usage only on request, so the gateway
requests it, and removes it if the caller did not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import repeat
from operator import contains
from typing import Any, Protocol, cast

from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.gateway.decompression import DECOMPRESSORS, DecompressionError, Decompressor
from codewords_mcp.runtime.gateway.frame_tap import FrameTap
from codewords_mcp.runtime.gateway.pieces import Pieces
from codewords_mcp.runtime.gateway.providers import Flavor
from codewords_mcp.runtime.gateway.reading import (
    MAX_EVENT_BYTES,
    Reading,
    failure_name,
    is_finished,
    merged,
    parsed,
    reading_of,
    usage_at_the_end,
)

MAX_KEPT_BYTES = 1 << 20
"""Bytes of a plain response that are stored to be parsed.

Of a longer one only the end is, where usage is.
"""
_TAIL_BYTES = 128 << 10
_LONG_EVENT_BYTES = 16 << 10
"""Bytes of an event that are joined and searched again with each chunk. That of 32 MB took minutes of the event loop."""
_USUAL_NULL = b',"usage":null'
_NULL_AT_THE_END = _USUAL_NULL + b"}"
_NULL_USAGE = re.compile(rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,')
_USAGE_OBJECT = re.compile(rb'"usage(?:Metadata)?"\s*:\s*\{')
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_END_EVENT = re.compile(
    rb'("finish_reason"\s*:\s*")|^event:\s*error|^data:\s*\{\s*"error"|"type"\s*:\s*"(?:error|response\.failed)"',
    re.MULTILINE,
)


class Tap(Protocol):
    """Sees every chunk of a response."""

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk. Returns the bytes to pass on."""
        ...

    def rest(self) -> bytes:
        """Held-back bytes to pass on at the end."""
        ...

    def read(self) -> Reading:
        """The facts read so far."""
        ...


@dataclass(slots=True)
class PlainTap:
    """For a response that is one JSON document."""

    flavor: Flavor
    _chunks: list[bytes] = field(default_factory=list[bytes])
    _size: int = 0
    _cut: bool = False

    def feed(self, chunk: bytes) -> bytes:
        """See `Tap`."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > MAX_KEPT_BYTES:
            # Usage is at the end.
            end = b"".join(self._chunks)[-_TAIL_BYTES:]
            self._chunks, self._size, self._cut = [end], len(end), True
        return chunk

    def rest(self) -> bytes:
        """See `Tap`."""
        return b""

    def read(self) -> Reading:
        """See `Tap`."""
        data = b"".join(self._chunks)
        if self._cut:
            return reading_of(self.flavor, usage_at_the_end(data))
        content = parsed(data)
        # Gemini streams without `alt=sse` are a list of responses.
        if isinstance(content, list):
            items = cast("list[Any]", content)
            content = next((item for item in reversed(items) if "usageMetadata" in object_of(item)), None)
        return reading_of(self.flavor, object_of(content))


class StreamTap:
    """For server-sent events. `strip`: the gateway requested usage, so it is removed again."""

    def __init__(self, flavor: Flavor, *, strip: bool, observed: bool = False) -> None:
        self._flavor: Flavor = flavor
        self._strip = strip
        self._observed = observed
        self._finish = self._failure = b""
        self._pending = b""
        self._long = Pieces()
        """The event that has not ended, in place of `_pending`, once it is long."""
        self._separator = b""
        self._first = b""
        self._last = b""
        self._events = 0
        self._blind = False

    def feed(self, chunk: bytes) -> bytes:
        """See `Tap`."""
        if self._blind:
            return chunk

        data = self._pending + chunk if self._pending else chunk
        if self._long.size:
            seam = self._long.seam(chunk)
            separator = self._separator or _separator_of(seam)
            if not separator or separator not in seam:
                self._long.append(chunk)
                return self._hold_back(b"", chunk)
            data = self._long.take() + chunk

        if not self._separator:
            self._separator = _separator_of(data)
        if self._separator:
            end = data.rfind(self._separator)
        else:
            end = -1

        if end < 0:
            return self._hold_back(data, chunk)

        end += len(self._separator)
        block, self._pending = data[:end], data[end:]
        self._events += block.count(self._separator)
        if self._observed and _END_EVENT.search(block):
            self._note_ending(block)
        # A substring search first: most blocks have no usage, and a regular expression costs more.
        if b'"usage' in block:
            block = self._read_usage_events(block)
        if self._strip:
            return block

        return chunk

    def rest(self) -> bytes:
        """See `Tap`."""
        pending, self._pending = self._long.take() + self._pending, b""
        if self._strip:
            return pending
        return b""

    def _hold_back(self, data: bytes, chunk: bytes) -> bytes:
        """Hold back `data`, which ends with `chunk`, unless it is in `_long` already."""
        self._pending = data
        if len(data) > _LONG_EVENT_BYTES:
            self._long.append(data)
            self._pending = b""
        # An event of this length passes unread, so that memory is bounded.
        if self._long.size > MAX_EVENT_BYTES:
            self._blind = True
            data = self._long.take()
        else:
            data = b""
        if self._strip:
            return data
        return chunk

    def _read_usage_events(self, block: bytes) -> bytes:
        if not self._strip:
            return self._edited(block)
        # Mostly each event but the last ends so, and all of these are edited at once.
        separator = self._separator
        clean = block.replace(_NULL_AT_THE_END + separator, b"}" + separator)
        at = clean.find(b'"usage')
        if at < 0:
            return clean
        before = clean.rfind(separator, 0, at)
        if before < 0:
            return self._edited(block)
        before += len(separator)
        left = clean.count(separator, before) + 1
        return clean[:before] + self._edited(separator.join(block.rsplit(separator, left)[-left:]))

    def _edited(self, block: bytes) -> bytes:
        separator = self._separator
        found = _USAGE_OBJECT.search(block)
        # A stream's many events without usage are edited at once, the few with it one by one.
        if found is None:
            at = len(block)
        elif (before := block.rfind(separator, 0, found.start())) < 0:
            at = 0
        else:
            at = before + len(separator)

        passed_on: list[bytes] = []
        for event in block[at:].split(separator):
            if _USAGE_OBJECT.search(event):
                self._note(event)
                # The caller did not ask for this event.
                if self._strip and _NO_CHOICES.search(event):
                    continue
            passed_on.append(_NULL_USAGE.sub(b"", event, count=1) if self._strip else event)
        if self._strip:
            return self._without_null(block[:at]) + separator.join(passed_on)
        return block

    def _without_null(self, events: bytes) -> bytes:
        """Events without their first `"usage":null`."""
        pieces = events.split(_USUAL_NULL)
        # Mostly each event has it once, and spelled as OpenAI does.
        if len(pieces) > events.count(b'"usage"') and all(
            map(contains, pieces[1:-1], repeat(self._separator))
        ):
            return b"".join(pieces)
        return self._separator.join(
            _NULL_USAGE.sub(b"", event, count=1) for event in events.split(self._separator)
        )

    def _note(self, event: bytes) -> None:
        if b'"message_start"' in event and self._flavor == "messages":
            self._first = event
        else:
            self._last = event

    def _note_ending(self, block: bytes) -> None:
        for event in block.split(self._separator):
            if ending := _END_EVENT.search(event):
                if ending[1]:
                    self._finish = event
                else:
                    self._failure = event

    def read(self) -> Reading:
        """See `Tap`."""
        first, last = object_of(parsed(_data_of(self._first))), object_of(parsed(_data_of(self._last)))
        if self._flavor == "messages":
            found, whole = merged(first, last), bool(last)
        elif self._flavor == "responses":
            found, whole = object_of(last.get("response")), bool(last)
        else:
            # Gemini reports usage in each event; only the last one is the bill.
            found, whole = last, bool(last) and (self._flavor != "generate" or is_finished(last))

        reading = reading_of(self._flavor, found)
        reading.events = self._events
        reading.whole = whole and reading.tokens is not None
        if self._finish:
            reading.response = object_of(parsed(_data_of(self._finish)))
        if self._failure:
            reading.failure = failure_name(object_of(parsed(_data_of(self._failure))))
        return reading


class CompressedTap:
    """Reads a compressed response and passes it on unchanged.

    Usage is unknown if it cannot be decompressed.
    """

    def __init__(self, inner: Tap, decompressor: Decompressor | None) -> None:
        self._inner = inner
        self._decompressor = decompressor

    def feed(self, chunk: bytes) -> bytes:
        """See `Tap`."""
        if self._decompressor is not None:
            try:
                for piece in self._decompressor.open(chunk):
                    self._inner.feed(piece)
            except DecompressionError:
                self._decompressor = None
        return chunk

    def rest(self) -> bytes:
        """See `Tap`."""
        return b""

    def read(self) -> Reading:
        """See `Tap`."""
        return self._inner.read()


class CapturingTap:
    """Also captures the response, up to `MAX_KEPT_BYTES`."""

    def __init__(self, inner: Tap) -> None:
        self._inner = inner
        self._chunks: list[bytes] = []
        self._remaining_bytes = MAX_KEPT_BYTES

    def feed(self, chunk: bytes) -> bytes:
        """See `Tap`."""
        if self._remaining_bytes > 0:
            self._chunks.append(chunk[: self._remaining_bytes])
            self._remaining_bytes -= len(chunk)
        return self._inner.feed(chunk)

    def rest(self) -> bytes:
        """See `Tap`."""
        return self._inner.rest()

    def read(self) -> Reading:
        """See `Tap`."""
        reading = self._inner.read()
        reading.body = b"".join(self._chunks)
        return reading


def tap_for(
    flavor: Flavor, media: str, encoding: str, *, strip: bool, observed: bool = False, captures: bool = False
) -> Tap:
    """The tap for a response, by its content type and content encoding.

    `observed`: also read how it ended. `captures`: also capture its body.
    """
    encoding = encoding.strip().lower()
    compressed = encoding not in {"", "identity"}
    tap: Tap = PlainTap(flavor)
    if "event-stream" in media:
        # A compressed stream passes unchanged, so nothing can be removed from it.
        tap = StreamTap(flavor, strip=strip and not compressed, observed=observed)
    elif "vnd.amazon.eventstream" in media:
        tap = FrameTap(flavor)
    if captures:
        tap = CapturingTap(tap)
    if not compressed:
        return tap

    decompressor = DECOMPRESSORS.get(encoding)
    return CompressedTap(tap, decompressor() if decompressor is not None else None)


def _separator_of(data: bytes) -> bytes:
    # The first that occurs: data may contain the other.
    unix = data.find(b"\n\n")
    if unix < 0:
        found = data.find(b"\r\n\r\n")
    else:
        found = data.find(b"\r\n\r\n", 0, unix + 3)
    if found >= 0:
        return b"\r\n\r\n"
    if unix >= 0:
        return b"\n\n"
    return b""


def _data_of(event: bytes) -> bytes:
    start = event.find(b"data:")
    if start >= 0:
        return event[start + 5 :].strip()
    return b""
