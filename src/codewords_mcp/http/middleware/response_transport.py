"""The way out of one response: its head is checked and written once, together with the first piece of the body."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

RESPONSE = "codewords.response"
"""In the state of a scope: the ResponseTransport of its response."""
_NOT_IN_NAMES = bytes(range(0x21)) + b'\x7f()<>@,;:[]={}\\"'
_NOT_IN_VALUES = bytes(code for code in range(0x20) if code != ord("\t")) + b"\x7f"


class ResponseTransport(asyncio.Transport):
    """The transport of one response, which makes HTTP/1.1 of the application's messages.

    uvicorn's own `send` searches each header twice, and makes a call of the system of each message. Here a head waits for the
    first piece of the body. A body that comes later does not hold it back: it goes out in the next turn of the event loop.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        super().__init__()
        self._cycle = cycle
        self._connection = cycle.transport
        self._head: bytes | None = None
        self._next_turn: asyncio.Handle | None = None

    async def send(self, message: Message) -> None:
        """Send a message of the application. Raises RuntimeError for one that is not due, and as `write_piece` and `end` do."""
        cycle, kind = self._cycle, message["type"]
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        if kind == "http.response.start" and not cycle.response_started:
            self._start(message["status"], message.get("headers", ()))
        elif kind != "http.response.body" or not cycle.response_started or cycle.response_complete:
            raise RuntimeError(f"the message {kind} is not due")
        elif message.get("more_body", False):
            self.write_piece(message.get("body", b""))
        else:
            self.end(message.get("body", b""))

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        cycle = self._cycle
        cycle.response_started, cycle.waiting_for_100_continue = True, False
        lines = [STATUS_LINE[status]]
        closes = False
        for key, value in (*cycle.default_headers, *headers):
            name = key.lower()
            if name == b"content-length" and cycle.chunked_encoding is None:
                cycle.expected_content_length, cycle.chunked_encoding = int(value), False
            elif name == b"transfer-encoding" and value.lower() == b"chunked":
                cycle.expected_content_length, cycle.chunked_encoding = 0, True
            elif name == b"connection" and b"close" in map(bytes.strip, value.lower().split(b",")):
                cycle.keep_alive, closes = False, True
            lines += (name, b": ", value, b"\r\n")
        # All of them at once: to search each costs more than the rest of the head.
        _check(b"".join(lines[1::4]), _NOT_IN_NAMES)
        _check(b"".join(lines[3::4]), _NOT_IN_VALUES)

        if not cycle.keep_alive and not closes:
            lines.append(b"connection: close\r\n")
        if cycle.chunked_encoding is None and cycle.scope["method"] != "HEAD" and status not in {204, 304}:
            cycle.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        self._head = b"".join(lines)
        self._next_turn = asyncio.get_running_loop().call_soon(self.write, b"")

    def write_piece(self, piece: bytes) -> bool:
        """Send a piece of the body that is not its last, past the layers between server and route, which saw its head.

        Returns False once the client reads more slowly than it is sent to: `send` then waits. Raises RuntimeError for more
        bytes than the head told of.
        """
        cycle = self._cycle
        if cycle.disconnected or cycle.scope["method"] == "HEAD":
            return True
        if not cycle.chunked_encoding:
            self._count(piece)
        elif piece:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        self.write(piece)
        return self.has_room

    def end(self, piece: bytes) -> None:
        """Send the last piece of the body, as `write_piece` does. Raises RuntimeError for a body unlike its head."""
        cycle = self._cycle
        if cycle.disconnected:
            return
        if cycle.scope["method"] == "HEAD":
            self.write(b"")
        elif cycle.chunked_encoding:
            if piece:
                piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            self.write(piece + b"0\r\n\r\n")
        else:
            self._count(piece)
            self.write(piece)
            if cycle.expected_content_length:
                raise RuntimeError("the response is shorter than its head told")

        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self._connection.close()
        cycle.on_response()

    def _count(self, piece: bytes) -> None:
        self._cycle.expected_content_length -= len(piece)
        if self._cycle.expected_content_length < 0:
            raise RuntimeError("the response is longer than its head told")

    @property
    def has_room(self) -> bool:
        """True if the client reads as fast as it is sent to."""
        return not self._cycle.flow.write_paused

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write bytes to the connection, after the head if that waits for them."""
        head, self._head = self._head, None
        if head is not None:
            data = head + data
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        # The client may have gone meanwhile.
        if data and not self._connection.is_closing():
            self._connection.write(data)

    def is_closing(self) -> bool:
        """Whether the connection is closed, or about to be."""
        return self._connection.is_closing()

    def close(self) -> None:
        """Close the connection after what was written."""
        self.write(b"")
        self._connection.close()


def _check(joined: bytes, forbidden: bytes) -> None:
    if len(joined.translate(None, forbidden)) != len(joined):
        raise RuntimeError("a header of the response is none of HTTP/1.1")
