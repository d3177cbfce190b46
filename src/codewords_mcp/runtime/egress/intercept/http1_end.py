"""One end of an intercepted HTTP/1.1 connection: its parser, and the stream that it reads from."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final, cast

import h11

from codewords_mcp.runtime.egress.intercept.requests import RequestRefused
from codewords_mcp.runtime.egress.intercept.session import (
    TlsStream,
)

MAX_HEAD_BYTES: Final = 64 << 10
"""Bytes of a message's head, of either side."""
# Seconds for a program to read a response before the rest of its request is reset.
_LINGER: Final = 0.5
CHUNK_BYTES: Final = 64 << 10
_BEGINS: Final = b"HTTP/1."


class Http1End:
    """One side: a parser and the stream that it reads from."""

    def __init__(self, tls: TlsStream, role: Any) -> None:
        self.tls = tls
        self.http = h11.Connection(role, max_incomplete_event_size=MAX_HEAD_BYTES)

    async def next(self) -> object:
        """The next event. Raises h11.RemoteProtocolError, OSError."""
        # The parser asks for more only when it has no whole event.
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(await self.tls.reader.read(CHUNK_BYTES))
        return event

    async def send(self, *events: Any) -> None:
        """Send events in a single write."""
        await self.tls.send(b"".join(cast("bytes", self.http.send(event)) for event in events))


def takes_end(host: Http1End) -> bool:
    """Whether the data before was the end of a response that stated its length. Takes that end."""
    if host.http.trailing_data[0]:
        return False
    return isinstance(host.http.next_event(), h11.EndOfMessage)


async def next_of_host(host: Http1End, sending: asyncio.Task[None]) -> object:
    """The host's next event, or the error that ended sending the request.

    A host may respond before it has the whole request, and may then not read the rest.
    """
    event = host.http.next_event()
    while event is h11.NEED_DATA:
        reading = asyncio.ensure_future(host.tls.reader.read(CHUNK_BYTES))
        try:
            if not sending.done():
                # A failed send is noticed while the host is silent.
                await asyncio.wait({reading, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await _judge(sending, host)
            host.http.receive_data(await reading)
        finally:
            reading.cancel()

        # A program in another protocol, as SSH, would never end a head.
        event = host.http.next_event()
        if event is h11.NEED_DATA and host.http.their_state is h11.SEND_RESPONSE:
            _judge_beginning(host.http.trailing_data[0])

    return event


def _judge_beginning(data: bytes) -> None:
    """Raise h11.RemoteProtocolError if data is no HTTP.

    The parser would wait for the end of a head.
    """
    if data[: len(_BEGINS)] != _BEGINS[: len(data)]:
        raise h11.RemoteProtocolError("it does not begin as HTTP")


async def _judge(sending: asyncio.Task[None], host: Http1End) -> None:
    """Raise the error that ended sending:

    RequestRefused, or ConnectionResetError if the program has gone.
    """
    try:
        await sending
    except RequestRefused:
        # The host must not take half a request for a whole one.
        host.tls.writer.transport.abort()
        raise
    except ConnectionResetError as error:
        if "program" in str(error):
            host.tls.writer.transport.abort()
            raise
    except OSError:
        # The host takes no more of it; its response says why.
        pass


async def respond(program: Http1End, status: int, message: str) -> None:
    """Respond in the host's place, and let the program read it before the connection ends."""
    body = (message + "\n").encode()
    headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", str(len(body))),
        ("connection", "close"),
    ]

    with contextlib.suppress(OSError, TimeoutError, h11.LocalProtocolError):
        await program.send(
            h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()
        )
        # A connection that is closed with unread data is reset, and the response with it.
        async with asyncio.timeout(_LINGER):
            while await program.tls.reader.read(CHUNK_BYTES):
                pass
