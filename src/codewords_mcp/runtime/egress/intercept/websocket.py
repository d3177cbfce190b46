"""A websocket between a program and a host: its frames are parsed (RFC 6455, 5), without
compression.

The program's data is passed on unchanged, unless it holds a placeholder. The host's messages are
serialized again, so that a value that fragments cut in two is also found. Frames of any length pass
in chunks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from codewords_mcp.runtime.egress.intercept.credentials import Credentials
from codewords_mcp.runtime.egress.intercept.session import InterceptSession, TlsStream
from codewords_mcp.runtime.secrets.scrub import Scrubber

_CHUNK: Final = 64 << 10
# Seconds for the program to read the close frame.
_LINGER: Final = 0.5
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_OPCODES: Final = frozenset({_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG})
_MAX_CONTROL: Final = 125
_POLICY_VIOLATION, _PROTOCOL_ERROR = 1008, 1002
_FIX: Final = "use it in the opening request, or set the secret with --plain"


class WebSocketBroken(Exception):  # an outcome, caught inside this package
    """The websocket is closed with this status. `reason` completes "was refused: …"."""

    def __init__(self, reason: str, status: int = _PROTOCOL_ERROR, fix: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of one frame: its raw bytes, and the payload without its mask.

    `end`: the last of its frame. `fin`: the frame is the last of its message.
    """

    raw: bytes
    payload: bytes
    opcode: int
    end: bool
    fin: bool

    @property
    def is_control(self) -> bool:
        """Whether it is a close, ping or pong.

        These may be between a message's fragments, and come whole.
        """
        return self.opcode >= _CLOSE


class FrameReader:
    """Reads the frames of one direction, `masked` as those of clients are."""

    def __init__(self, *, masked: bool) -> None:
        self._masked = masked
        self._data = b""
        """Bytes that are not all read; those before `_at` are."""
        self._at = 0
        # Payload bytes of the open frame that are missing; -1 between frames.
        self._remaining = -1
        self._head = b""
        self._opcode = 0
        self._fin = False
        self._mask = b""
        self._in_message = False

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Pieces of frames in this data. Raises WebSocketBroken for invalid frames."""
        # What is read is dropped once for all frames: thousands of small ones come in a chunk.
        self._data = self._data[self._at :] + data
        self._at = 0
        while self._remaining >= 0 or self._open():
            unread = len(self._data) - self._at
            whole = unread >= self._remaining
            # A control frame is scanned whole; it is short.
            if not whole and (self._opcode >= _CLOSE or not unread):
                return
            payload = self._data[self._at : self._at + self._remaining]
            self._at += len(payload)
            self._remaining = -1 if whole else self._remaining - len(payload)
            yield Piece(self._head + payload, self._unmask(payload), self._opcode, whole, self._fin)
            self._head = b""

    def _open(self) -> bool:
        """Read a frame's head. Returns False if it is incomplete."""
        unread = len(self._data) - self._at
        if unread < 2:
            return False

        first, second = self._data[self._at : self._at + 2]
        extended = {126: 2, 127: 8}.get(second & 0x7F, 0)
        size = 2 + extended + (4 if self._masked else 0)
        # Judged before it is whole: an invalid frame might never be.
        self._judge(first, second)
        if unread < size:
            return False

        self._head = self._data[self._at : self._at + size]
        self._at += size
        if extended:
            self._remaining = int.from_bytes(self._head[2 : 2 + extended], "big")
        else:
            self._remaining = second & 0x7F

        # The first bit of a length must be 0 (RFC 6455, 5.2).
        if self._remaining >> 63:
            raise WebSocketBroken("its frame has an invalid length")

        self._mask = self._head[-4:] if self._masked else b""
        self._opcode, self._fin = first & 0x0F, bool(first & 0x80)
        if self._opcode < _CLOSE:
            self._in_message = not self._fin
        return True

    def _judge(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if first & 0x70:
            raise WebSocketBroken("its frame is compressed, which was not agreed, and cannot be read")
        if opcode not in _OPCODES or bool(second & 0x80) is not self._masked:
            raise WebSocketBroken("it is not a frame of a websocket")
        if opcode >= _CLOSE:
            if not first & 0x80 or second & 0x7F > _MAX_CONTROL:
                raise WebSocketBroken("its control frame is too long")
        elif (opcode == _CONTINUATION) is not self._in_message:
            raise WebSocketBroken("its frame belongs to no message")

    def _unmask(self, data: bytes) -> bytes:
        if not self._masked or not data:
            return data
        size = len(data)
        repeated = (self._mask * (size // 4 + 1))[:size]
        # The mask goes on where this chunk ended.
        shift = size % 4
        self._mask = self._mask[shift:] + self._mask[:shift]
        return (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")


class OutgoingFrames:
    """The program's data: unchanged, once it is free of placeholders."""

    def __init__(self, credentials: Credentials) -> None:
        self._reader = FrameReader(masked=True)
        self._credentials = credentials
        self._watch = credentials.watch()

    def feed(self, data: bytes) -> bytes:
        """Bytes for the host. Raises WebSocketBroken."""
        done: list[bytes] = []
        for piece in self._reader.feed(data):
            if piece.is_control:
                # Control frames may stand between a message's fragments: their text is none of the
                # message.
                watch = self._credentials.watch()
            else:
                watch = self._watch

            if (found := watch.found(piece.payload)) is not None:
                raise WebSocketBroken(f"a message of its websocket holds {found}", _POLICY_VIOLATION, _FIX)
            done.append(piece.raw)

        return b"".join(done)


class IncomingFrames:
    """The host's data without values: messages keep their size, perhaps in other fragments."""

    def __init__(self, scrubber: Scrubber) -> None:
        self._reader = FrameReader(masked=False)
        self._scrubber = scrubber.another(same_length=True)
        # Whether a fragment of this message was sent.
        self._continues = False
        self._opcode = 0

    def feed(self, data: bytes) -> bytes:
        """Bytes for the program. Raises WebSocketBroken."""
        return b"".join(self._clean(piece) for piece in self._reader.feed(data))

    def _clean(self, piece: Piece) -> bytes:
        if piece.is_control:
            # As above: a control frame is no part of the message around it.
            scrubber = self._scrubber.another(same_length=True)
            return frame(piece.opcode, scrubber.feed(piece.payload) + scrubber.flush(), fin=True)

        if piece.opcode != _CONTINUATION:
            self._opcode = piece.opcode
        last = piece.end and piece.fin
        clean = self._scrubber.feed(piece.payload)
        if last:
            clean += self._scrubber.flush()
        elif not clean:
            # Kept back, in case it is the beginning of a value.
            return b""

        if self._continues:
            opcode = _CONTINUATION
        else:
            opcode = self._opcode

        self._continues = not last
        return frame(opcode, clean, fin=last)


def frame(opcode: int, payload: bytes, *, fin: bool) -> bytes:
    """Encode a frame as servers send it."""
    first, size = opcode | (0x80 if fin else 0), len(payload)
    if size < 126:
        head = bytes([first, size])
    elif size < 1 << 16:
        head = bytes([first, 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, 127]) + size.to_bytes(8, "big")
    return head + payload


async def relay_websocket(
    session: InterceptSession, program: TlsStream, host: TlsStream, read_ahead: tuple[bytes, bytes]
) -> None:
    """Relay both directions until either side ends.

    `read_ahead`: bytes already read of program and host.
    """
    interception = session.interception
    ways = (
        (program, host, OutgoingFrames(interception.credentials), read_ahead[0]),
        (host, program, IncomingFrames(interception.scrubber), read_ahead[1]),
    )

    async def forward(
        source: TlsStream, target: TlsStream, frames: OutgoingFrames | IncomingFrames, first: bytes
    ) -> None:
        await target.send(frames.feed(first))
        while data := await source.reader.read(_CHUNK):
            await target.send(frames.feed(data))

    tasks = [asyncio.create_task(forward(*way)) for way in ways]

    try:
        # One end ends both: a websocket has no half-closed state.
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)

    if broken := next((result for result in ended if isinstance(result, WebSocketBroken)), None):
        session.refused(broken.reason)
        await _send_close(program, broken)


async def _send_close(program: TlsStream, broken: WebSocketBroken) -> None:
    """Send the reason, as far as a close frame allows, and let the program read it."""
    if broken.fix:
        reason = f"{broken.reason}; {broken.fix}"
    else:
        reason = broken.reason

    # A control frame holds 125 bytes, two of them the status.
    payload = broken.status.to_bytes(2, "big") + reason.encode()[: _MAX_CONTROL - 2]
    with contextlib.suppress(OSError, TimeoutError):
        await program.send(frame(_CLOSE, payload, fin=True))
        async with asyncio.timeout(_LINGER):
            # Read to the end: a close with unread data would reset the connection.
            while await program.reader.read(_CHUNK):
                pass
