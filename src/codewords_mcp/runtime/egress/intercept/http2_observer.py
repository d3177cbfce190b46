"""HTTP/2 as it passes: frames are read for their streams' heads and bodies, and nothing is changed.

Windows, settings and priorities are the business of both ends.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final

from hpack import Decoder, HPACKError

from codewords_mcp.runtime.egress.intercept.credentials import Headers
from codewords_mcp.runtime.egress.intercept.observation import (
    MAX_HEAD_BYTES,
    MAX_UNANSWERED,
    NotHttp,
    Observation,
    PassingExchange,
)

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _PUSH, _CONTINUATION = 0, 1, 3, 5, 9
_END_STREAM, _END_HEADERS, _PADDED, _PRIORITY = 0x01, 0x04, 0x08, 0x20
_READ: Final = frozenset({_HEADERS, _PUSH, _CONTINUATION})
_MAX_TABLE: Final = 1 << 20
_HEAD: Final = 9


@dataclass(frozen=True, slots=True)
class Http2Frame:
    """A frame, or a part of a long one of data: `last` ends it."""

    kind: int
    flags: int
    stream: int
    payload: bytes
    last: bool = True


class Http2FrameReader:
    """Reads the frames of one direction. Those that say nothing about a request are passed over."""

    def __init__(self) -> None:
        self._unread = b""
        self._open: tuple[int, int, int] | None = None
        self._left = 0

    def feed(self, data: bytes) -> Generator[Http2Frame]:
        """Frames in these bytes. Raises NotHttp."""
        data = self._unread + data
        at = 0
        while True:
            if self._open is None:
                if len(data) - at < _HEAD:
                    break
                size = int.from_bytes(data[at : at + 3])
                # RFC 9113, 4.1: the first bit of a stream's number is reserved.
                self._open = data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9]) & 0x7FFFFFFF
                self._left = size
                at += _HEAD

            kind, flags, stream = self._open
            have = min(len(data) - at, self._left)
            whole = have == self._left
            # A head is decompressed whole, and so is padding told from data.
            if not whole and (kind in _READ or flags & _PADDED):
                if self._left > MAX_HEAD_BYTES:
                    raise NotHttp
                break
            if not whole and not have:
                break

            payload = data[at : at + have]
            at += have
            self._left -= have
            if whole:
                self._open = None
            yield Http2Frame(kind, flags, stream, payload, whole)

        self._unread = data[at:]


class HeadReader:
    """Puts heads together that are cut into frames, and decompresses them (RFC 7541)."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        # The table's size is agreed by settings; each change of it is said in a head too.
        self._decoder.max_allowed_table_size = _MAX_TABLE
        self._decoder.max_header_list_size = MAX_HEAD_BYTES
        self._parts = b""
        self._ends = False
        self._pushed = False

    def feed(self, frame: Http2Frame) -> tuple[Headers, bool] | None:
        """(the headers, whether they end the stream) once they are complete; None before, and for a push."""
        if frame.kind != _CONTINUATION:
            self._parts = _block(frame)
            self._ends = bool(frame.flags & _END_STREAM)
            self._pushed = frame.kind == _PUSH
        else:
            self._parts += frame.payload
        if len(self._parts) > MAX_HEAD_BYTES:
            raise NotHttp
        if not frame.flags & _END_HEADERS:
            return None

        try:
            # Each head changes the table, also one that nobody asks for.
            found = self._decoder.decode(self._parts, raw=True)
        except HPACKError:
            raise NotHttp from None
        if self._pushed:
            return None
        return [(bytes(name), bytes(value)) for name, value in found], self._ends


def _block(frame: Http2Frame) -> bytes:
    """The compressed headers of a frame, without what stands before and behind them."""
    data, at, end = frame.payload, 0, len(frame.payload)
    if frame.flags & _PADDED and data:
        # RFC 9113, 6.2: the first byte says how much padding ends the frame.
        at, end = 1, end - data[0]
    if frame.kind == _PUSH:
        # RFC 9113, 6.6: the number of the promised stream comes first.
        at += 4
    elif frame.flags & _PRIORITY:
        # RFC 9113, 6.2: the stream that this one depends on, and a weight.
        at += 5
    return data[at:end]


class Http2Observer:
    """The streams of one connection."""

    def __init__(self, observation: Observation) -> None:
        self._observation = observation
        self._streams: dict[int, PassingExchange] = {}
        self._latest = 0
        """The highest number of a stream. They rise: what else comes for an earlier one belongs to a request that is over."""
        # Streams whose response has begun: what follows as headers are trailers.
        self._answered: set[int] = set()
        self._preface = b""
        self._frames = Http2FrameReader(), Http2FrameReader()
        # RFC 7541, 2.2: each direction has a table of its own.
        self._heads = HeadReader(), HeadReader()

    def sent(self, data: bytes) -> None:
        """See `Observer`."""
        if len(self._preface) < len(PREFACE):
            missing = len(PREFACE) - len(self._preface)
            self._preface, data = self._preface + data[:missing], data[missing:]
            if self._preface != PREFACE[: len(self._preface)]:
                raise NotHttp

        for frame in self._frames[0].feed(data):
            self._follow(frame, self._heads[0], self._request_head, self._request_data)

    def received(self, data: bytes) -> None:
        """See `Observer`."""
        for frame in self._frames[1].feed(data):
            self._follow(frame, self._heads[1], self._response_head, self._response_data)

    def host_ended(self) -> None:
        """See `Observer`."""

    def end(self) -> None:
        """See `Observer`."""
        for exchange in self._streams.values():
            exchange.end(whole=False)
        self._streams.clear()

    def _follow(
        self,
        frame: Http2Frame,
        heads: HeadReader,
        on_head: Callable[[int, Headers, bool], None],
        on_data: Callable[[int, bytes, bool], None],
    ) -> None:
        if frame.kind == _DATA:
            data = frame.payload
            if frame.flags & _PADDED and data:
                # RFC 9113, 6.1: the first byte counts the padding at the end.
                data = data[1 : len(data) - data[0]]
            on_data(frame.stream, data, frame.last and bool(frame.flags & _END_STREAM))
        elif frame.kind in _READ:
            found = heads.feed(frame)
            if found is not None:
                on_head(frame.stream, *found)
        elif frame.kind == _RESET and frame.last:
            self._over(frame.stream, whole=False)

    def _request_head(self, stream: int, headers: Headers, ends: bool) -> None:
        if stream > self._latest:
            if len(self._streams) >= MAX_UNANSWERED:
                raise NotHttp
            self._latest = stream
            pseudo = {name: value for name, value in headers if name[:1] == b":"}
            method = pseudo.get(b":method", b"").decode("latin-1")
            self._streams[stream] = self._observation.begin(
                method,
                pseudo.get(b":path", b""),
                [(name, value) for name, value in headers if name[:1] != b":"],
                # RFC 8441: so a websocket begins over HTTP/2.
                upgrades=method == "CONNECT",
            )
        if ends and stream in self._streams:
            self._streams[stream].request_end()

    def _request_data(self, stream: int, data: bytes, ends: bool) -> None:
        exchange = self._streams.get(stream)
        if exchange is not None:
            exchange.request_body(data)
            if ends:
                exchange.request_end()

    def _response_head(self, stream: int, headers: Headers, ends: bool) -> None:
        exchange = self._streams.get(stream)
        if exchange is None:
            return

        plain = [(name, value) for name, value in headers if name[:1] != b":"]
        if stream in self._answered:
            exchange.trailers(plain)
        else:
            stated = dict(headers).get(b":status", b"")
            status = int(stated) if stated.isdigit() else 0
            # Interim responses come before the one that counts.
            if status >= 200:
                self._answered.add(stream)
                exchange.response(status, plain)
        if ends:
            self._over(stream, whole=True)

    def _response_data(self, stream: int, data: bytes, ends: bool) -> None:
        exchange = self._streams.get(stream)
        if exchange is not None:
            if exchange.switched:
                exchange.count(len(data))
            else:
                exchange.response_body(data)
            if ends:
                self._over(stream, whole=True)

    def _over(self, stream: int, *, whole: bool) -> None:
        self._answered.discard(stream)
        exchange = self._streams.pop(stream, None)
        if exchange is not None:
            exchange.end(whole=whole)
