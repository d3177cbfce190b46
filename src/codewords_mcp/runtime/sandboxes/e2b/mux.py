"""Many byte streams and messages over one WebSocket, each stream with its own flow control.

A frame is a byte of kind, a stream's number in four bytes, and what it carries:

    MESSAGE  JSON, number 0                          OPEN    JSON that says what for
    DATA     bytes                                   END     no more data this way
    RESET    the stream is broken, both ways         WINDOW  four bytes: so much more may be sent
    OUTPUT   a program's output, numbered by its chunk (see `wire`)

Each side opens streams with numbers of its own parity, so that none has to be agreed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

MESSAGE, OPEN, DATA, END, RESET, WINDOW, OUTPUT = range(7)
WINDOW_SIZE: Final = 256 << 10
"""Bytes of one stream that may be under way without having been read."""
CHUNK: Final = 32 << 10
MAX_STREAMS: Final = 2048
_HEAD: Final = struct.Struct(">BI")
_COUNT: Final = struct.Struct(">I")

Json = dict[str, Any]


def frame(kind: int, number: int, data: bytes = b"") -> bytes:
    """As the wire has it."""
    return _HEAD.pack(kind, number) + data


def parse(data: bytes) -> tuple[int, int, bytes]:
    """Kind, number and content. Raises ValueError for what is no frame."""
    if len(data) < _HEAD.size:
        raise ValueError("a frame is too short")
    kind, number = _HEAD.unpack_from(data)
    return kind, number, data[_HEAD.size :]


class Stream:
    """One byte stream, both ways; either way ends by itself. One reader and one writer."""

    def __init__(self, mux: Mux, number: int) -> None:
        self._mux = mux
        self._number = number
        self._chunks: deque[bytes] = deque()
        self._unacknowledged = 0
        self._credit = WINDOW_SIZE
        self._changed = asyncio.Event()
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._ended = False
        self._end_sent = False
        self._broken = False

    async def read(self) -> bytes:
        """Received bytes, unbuffered; empty at the end. Raises ConnectionResetError when the stream broke."""
        while not self._chunks:
            if self._broken:
                raise ConnectionResetError("the stream was reset")
            if self._ended:
                return b""

            self._changed.clear()
            await self._changed.wait()

        data = self._chunks.popleft()
        self._unacknowledged += len(data)
        # Half a window at a time: one frame for each read would double the frames.
        if self._unacknowledged >= WINDOW_SIZE // 2 and not self._ended:
            self._mux.put(frame(WINDOW, self._number, _COUNT.pack(self._unacknowledged)))
            self._unacknowledged = 0

        return data

    async def write(self, data: bytes) -> None:
        """Send, waiting while the other side does not read. Raises ConnectionResetError when the stream broke."""
        view = memoryview(data)
        while view:
            while self._credit <= 0 and not self._broken:
                self._may_send.clear()
                await self._may_send.wait()

            if self._broken:
                raise ConnectionResetError("the stream was reset")

            # Never more than the other side has room for: it has no other bound on its memory.
            part = view[: min(CHUNK, self._credit)]
            view = view[len(part) :]
            self._credit -= len(part)
            self._mux.put(frame(DATA, self._number, bytes(part)))

    def end(self) -> None:
        """No more will be written. Idempotent."""
        if not self._end_sent and not self._broken:
            self._end_sent = True
            self._mux.put(frame(END, self._number))
            self._let_go()

    def reset(self) -> None:
        """Break it, and tell the other side. Idempotent."""
        if not self._broken and not (self._ended and self._end_sent):
            self._mux.put(frame(RESET, self._number))
        self.break_off()

    def take(self, data: bytes) -> None:
        """Data has come."""
        # After the end nothing is to come: a peer that sends more is not believed.
        if not self._ended:
            self._chunks.append(data)
            self._changed.set()

    def take_end(self) -> None:
        """The other side has said all."""
        self._ended = True
        self._changed.set()
        self._let_go()

    def take_window(self, more: int) -> None:
        """The other side has read."""
        self._credit += more
        self._may_send.set()

    def break_off(self) -> None:
        """The stream is no more: whoever reads gets what has come and then an error, whoever writes an error."""
        self._broken = True
        self._changed.set()
        self._may_send.set()
        self._mux.forget(self._number)

    def _let_go(self) -> None:
        if self._ended and self._end_sent:
            self._mux.forget(self._number)


class Mux:
    """One side of a connection. `opened(stream, what)` is called for streams that the other side opens."""

    def __init__(
        self, send: Callable[[bytes], Awaitable[None]], opened: Callable[[Stream, Json], None], *, first: int
    ) -> None:
        self._send = send
        self._opened = opened
        # One side numbers its streams odd and the other even, so that both may open one at the same
        # time.
        self._numbers = itertools.count(first, 2)
        self._parity = first % 2
        self._streams: dict[int, Stream] = {}
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self._sender = asyncio.create_task(self._send_all())
        self.closed = False
        self.quiet = asyncio.Event()
        """Set while no stream is open."""
        self.quiet.set()

    def open(self, what: Json) -> Stream:
        """A new stream; what is written may be on its way before the other side has heard of it."""
        number = next(self._numbers)
        stream = self._add(number)
        if self.closed:
            stream.break_off()
        else:
            # Written at once: data may follow before the other side has answered.
            self.put(frame(OPEN, number, json.dumps(what).encode()))
        return stream

    def say(self, message: Json) -> None:
        """Send a message; lost where the connection is."""
        self.put(frame(MESSAGE, 0, json.dumps(message).encode()))

    def put(self, data: bytes) -> None:
        """Send a frame after those that wait."""
        if not self.closed:
            self._outgoing.put_nowait(data)

    def receive(self, kind: int, number: int, data: bytes) -> None:
        """Take a frame of a stream. One of a stream that is gone is dropped. Raises ValueError for nonsense."""
        if kind == OPEN:
            self._on_open(number, data)
            return

        # A stream that was reset here may still be sent to: the two cross on the way.
        stream = self._streams.get(number)
        if stream is None:
            return

        if kind == DATA:
            stream.take(data)
        elif kind == END:
            stream.take_end()
        elif kind == RESET:
            stream.break_off()
        elif kind == WINDOW:
            stream.take_window(_COUNT.unpack(data)[0])
        else:
            raise ValueError(f"there is no kind {kind} of frame")

    def forget(self, number: int) -> None:
        """A stream is over."""
        self._streams.pop(number, None)
        if not self._streams:
            self.quiet.set()

    def reset_streams(self) -> None:
        """Break every stream off."""
        for stream in list(self._streams.values()):
            stream.reset()

    async def close(self) -> None:
        """The connection is gone, or about to be. Idempotent."""
        self.closed = True
        for stream in list(self._streams.values()):
            stream.break_off()
        self._sender.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sender

    async def drained(self) -> None:
        """Return when everything put so far was handed to the connection."""
        await self._outgoing.join()

    def _add(self, number: int) -> Stream:
        stream = self._streams[number] = Stream(self, number)
        self.quiet.clear()
        return stream

    def _on_open(self, number: int, data: bytes) -> None:
        # Parity tells who opened a stream, so that both may open one at the same time.
        if number % 2 == self._parity or number in self._streams:
            raise ValueError("a stream was opened twice")
        stream = self._add(number)
        # Bounded: the agent runs beside a hostile program.
        if len(self._streams) > MAX_STREAMS:
            stream.reset()
            return
        self._opened(stream, json.loads(data))

    async def _send_all(self) -> None:
        while True:
            data = await self._outgoing.get()
            try:
                await self._send(data)
            except Exception:  # noqa: BLE001
                # The reader of the connection learns why, and closes this.
                self.closed = True
            finally:
                self._outgoing.task_done()


async def relay(stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes between a stream and a connection until both ways have ended; closes the connection.

    An end is passed on alone. What breaks on one side breaks the other.
    """
    halves = (
        asyncio.ensure_future(_into_stream(stream, reader)),
        asyncio.ensure_future(_out_of_stream(stream, writer)),
    )
    try:
        await asyncio.gather(*halves)
    except OSError:
        # Any half that breaks ends both: a connection cannot be half broken.
        stream.reset()
        writer.transport.abort()
    finally:
        for half in halves:
            half.cancel()
        stream.reset()
        writer.close()


async def _into_stream(stream: Stream, reader: asyncio.StreamReader) -> None:
    while data := await reader.read(CHUNK):
        await stream.write(data)
    stream.end()


async def _out_of_stream(stream: Stream, writer: asyncio.StreamWriter) -> None:
    while data := await stream.read():
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        # The other end may have hung up already.
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()
