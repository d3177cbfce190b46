"""A websocket between a program and a host: its frames are read (RFC 6455, 5), without compression, which nobody is offered.

What the program sends goes on as it is, unless it holds a placeholder; what the host sends is written anew, so that a value
that is cut in two by fragments is found too. Frames of any length pass in pieces.
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
_LINGER: Final = 0.5
"""Seconds for the program to read why its websocket ends."""
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_OPCODES: Final = frozenset({_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG})
_MAX_CONTROL: Final = 125
_POLICY_VIOLATION, _PROTOCOL_ERROR = 1008, 1002
_FIX: Final = "use it in the opening request, or set the secret with --plain"


class WebSocketBroken(Exception):  # an outcome, caught inside this room
    """The websocket is broken off with this status; `reason` completes "was refused: …"."""

    def __init__(self, reason: str, status: int = _PROTOCOL_ERROR, fix: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Piece:
    """Of one frame: bytes as they came, and their payload without its mask. `end`: the frame's last; `fin`: the message's."""

    raw: bytes
    payload: bytes
    opcode: int
    end: bool
    fin: bool

    @property
    def is_control(self) -> bool:
        """Whether it is of a close, ping or pong, which may stand between the fragments of a message, and come whole."""
        return self.opcode >= _CLOSE


class FrameReader:
    """Reads the frames of one direction, `masked` as those of clients are."""

    def __init__(self, *, masked: bool) -> None:
        self._masked = masked
        self._unread = b""
        self._left = -1
        """Bytes of the open frame's payload that are to come; -1 between frames."""
        self._head = b""
        self._opcode = 0
        self._fin = False
        self._mask = b""
        self._in_message = False

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The pieces of frames that this brings. Raises Broken for what is no frame, or one that cannot be looked into."""
        self._unread += data
        while self._left >= 0 or self._open():
            whole = len(self._unread) >= self._left
            if not whole and (self._opcode >= _CLOSE or not self._unread):
                return
            taken, self._unread = self._unread[: self._left], self._unread[self._left :]
            self._left = -1 if whole else self._left - len(taken)
            yield Piece(self._head + taken, self._unmask(taken), self._opcode, whole, self._fin)
            self._head = b""

    def _open(self) -> bool:
        """Read a frame's head; False where it is not all here."""
        if len(self._unread) < 2:
            return False

        first, second = self._unread[:2]
        extended = {126: 2, 127: 8}.get(second & 0x7F, 0)
        size = 2 + extended + (4 if self._masked else 0)
        self._judge(first, second)
        if len(self._unread) < size:
            return False

        self._head, self._unread = self._unread[:size], self._unread[size:]
        if extended:
            self._left = int.from_bytes(self._head[2 : 2 + extended], "big")
        else:
            self._left = second & 0x7F

        if self._left >> 63:
            raise WebSocketBroken("its frame has a length that is none")

        self._mask = self._head[-4:] if self._masked else b""
        self._opcode, self._fin = first & 0x0F, bool(first & 0x80)
        if self._opcode < _CLOSE:
            self._in_message = not self._fin
        return True

    def _judge(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if first & 0x70:
            raise WebSocketBroken("its frame is compressed, which was not agreed, and cannot be looked into")
        if opcode not in _OPCODES or bool(second & 0x80) is not self._masked:
            raise WebSocketBroken("it is not a frame of a websocket")
        if opcode >= _CLOSE:
            if not first & 0x80 or second & 0x7F > _MAX_CONTROL:
                raise WebSocketBroken("its control frame is longer than one may be")
        elif (opcode == _CONTINUATION) is not self._in_message:
            raise WebSocketBroken("its frame belongs to no message")

    def _unmask(self, data: bytes) -> bytes:
        if not self._masked or not data:
            return data
        size = len(data)
        repeated = (self._mask * (size // 4 + 1))[:size]
        shift = size % 4
        self._mask = self._mask[shift:] + self._mask[:shift]
        return (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")


class OutgoingFrames:
    """What the program says: as it came, once no placeholder is in it."""

    def __init__(self, credentials: Credentials) -> None:
        self._reader = FrameReader(masked=True)
        self._credentials = credentials
        self._watch = credentials.watch()

    def feed(self, data: bytes) -> bytes:
        """What goes on to the host. Raises Broken."""
        done: list[bytes] = []
        for piece in self._reader.feed(data):
            if piece.is_control:
                watch = self._credentials.watch()
            else:
                watch = self._watch

            if (found := watch.found(piece.payload)) is not None:
                raise WebSocketBroken(f"a message of its websocket holds {found}", _POLICY_VIOLATION, _FIX)
            done.append(piece.raw)

        return b"".join(done)


class IncomingFrames:
    """What the host says: without values, each message in as many bytes, perhaps in other fragments."""

    def __init__(self, scrubber: Scrubber) -> None:
        self._reader = FrameReader(masked=False)
        self._scrubber = scrubber.another(same_length=True)
        self._begun = False
        """Whether a fragment of this message has gone on."""
        self._opcode = 0

    def feed(self, data: bytes) -> bytes:
        """What goes on to the program. Raises Broken."""
        return b"".join(self._clean(piece) for piece in self._reader.feed(data))

    def _clean(self, piece: Piece) -> bytes:
        if piece.is_control:
            one = self._scrubber.another(same_length=True)
            return frame(piece.opcode, one.feed(piece.payload) + one.flush(), fin=True)

        if piece.opcode != _CONTINUATION:
            self._opcode = piece.opcode
        last = piece.end and piece.fin
        clean = self._scrubber.feed(piece.payload)
        if last:
            clean += self._scrubber.flush()
        elif not clean:
            return b""

        if self._begun:
            opcode = _CONTINUATION
        else:
            opcode = self._opcode

        self._begun = not last
        return frame(opcode, clean, fin=last)


def frame(opcode: int, payload: bytes, *, fin: bool) -> bytes:
    """A frame as servers send them."""
    first, size = opcode | (0x80 if fin else 0), len(payload)
    if size < 126:
        head = bytes([first, size])
    elif size < 1 << 16:
        head = bytes([first, 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, 127]) + size.to_bytes(8, "big")
    return head + payload


async def carry_websocket(
    session: InterceptSession, program: TlsStream, host: TlsStream, begun: tuple[bytes, bytes]
) -> None:
    """Both ways until either side ends it. `begun` is what of the program's and of the host's has been read already."""
    interception = session.interception
    ways = (
        (program, host, OutgoingFrames(interception.credentials), begun[0]),
        (host, program, IncomingFrames(interception.scrubber), begun[1]),
    )

    async def carry(
        source: TlsStream, target: TlsStream, frames: OutgoingFrames | IncomingFrames, first: bytes
    ) -> None:
        await target.send(frames.feed(first))
        while data := await source.reader.read(_CHUNK):
            await target.send(frames.feed(data))

    tasks = [asyncio.create_task(carry(*way)) for way in ways]

    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)

    if broken := next((one for one in ended if isinstance(one, WebSocketBroken)), None):
        session.refused(broken.reason)
        await _tell(program, broken)


async def _tell(program: TlsStream, broken: WebSocketBroken) -> None:
    """Say why it ends, as far as a close frame has room, and let the program read that."""
    if broken.fix:
        reason = f"{broken.reason}; {broken.fix}"
    else:
        reason = broken.reason

    payload = broken.status.to_bytes(2, "big") + reason.encode()[: _MAX_CONTROL - 2]
    with contextlib.suppress(OSError, TimeoutError):
        await program.send(frame(_CLOSE, payload, fin=True))
        async with asyncio.timeout(_LINGER):
            while await program.reader.read(_CHUNK):
                pass
