"""An HTTP/1.1 server of few parts, so that what a benchmark measures is not the stand-in."""

from __future__ import annotations

import asyncio
import gzip
import http
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import httptools

from codewords_testing.providers.model import CUT, Request, StubReply

Handler = Callable[[Request], StubReply]


class ServerConnection(asyncio.Protocol):
    """One client. Answers in the order of its requests; notices when it leaves before an answer is whole."""

    def __init__(self, handle: Handler, on_abort: Callable[[Request], None]) -> None:
        self._handle = handle
        self._on_abort = on_abort
        self._waiting: deque[Request] = deque()
        self._serving: asyncio.Task[None] | None = None
        self._current: Request | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Take in bytes."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            # A fault of the stand-in's own, not of the client's.
            raise error.__context__ or error from None
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the protocol's
        """The client has gone, or we have."""
        self._transport = None
        if self._serving is not None and self._current is not None:
            self._serving.cancel()
            self._on_abort(self._current)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        """A piece of its target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        # A client that asks first sends its body only after this.
        if self._transport is not None and any(name.lower() == b"expect" for name, _ in self._headers):
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        path, _, query = self._url.decode("latin-1").partition("?")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._headers}
        request = Request(self._parser.get_method().decode(), path, query, headers, b"".join(self._body))
        self._waiting.append(request)
        # Requests may come before the last one is answered; answers keep their order.
        if self._current is None:
            self._next()

    def _next(self) -> None:
        while self._waiting and self._transport is not None:
            request = self._current = self._waiting.popleft()
            reply = self._handle(request)
            if reply.hangs_up:
                self._current = None
                self._transport.close()
                return

            # At once and without a task where nothing has to wait: most answers of a benchmark.
            if reply.stream is None and not reply.wait:
                self._whole(reply)
                self._current = None
            else:
                self._serving = asyncio.ensure_future(self._slowly(reply))
                return

        self._current = None

    async def _slowly(self, reply: StubReply) -> None:
        if reply.wait:
            await asyncio.sleep(reply.wait)
        if reply.stream is None:
            self._whole(reply)
        else:
            await self._stream(reply, reply.stream)
        self._current = self._serving = None
        self._next()

    def _whole(self, reply: StubReply) -> None:
        self._write(_head(reply, [("content-length", str(len(reply.body)))]) + reply.body)

    async def _stream(self, reply: StubReply, pieces: list[Any]) -> None:
        self._write(_head(reply, [("transfer-encoding", "chunked"), ("cache-control", "no-cache")]))
        for piece in pieces:
            if reply.delay:
                await asyncio.sleep(reply.delay)
            if piece is CUT:
                # What was written must still arrive, so the connection is closed, not reset.
                self._current = None
                if self._transport is not None:
                    self._transport.close()
                return

            self._write(b"%x\r\n%s\r\n" % (len(piece), piece))

        self._write(b"0\r\n\r\n")

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _head(reply: StubReply, more: list[tuple[str, str]]) -> bytes:
    try:
        phrase = http.HTTPStatus(reply.status).phrase
    except ValueError:
        # Anthropic's 529, which the standard does not know.
        phrase = "Overloaded"
    lines = [f"HTTP/1.1 {reply.status} {phrase}", f"content-type: {reply.media}"]
    lines += [f"{name}: {value}" for name, value in [*reply.headers, *more]]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def compressed(reply: StubReply, encoding: str) -> StubReply:
    """The reply in one of `ENCODINGS`, whatever the client said that it accepts."""
    press = ENCODINGS[encoding]
    reply.headers.append(("content-encoding", encoding))
    if reply.stream is None:
        reply.body = press(reply.body)
    else:
        whole = press(b"".join(reply.stream))
        # In pieces that end anywhere in the compressed data, as networks deliver it.
        reply.stream = [whole[at : at + 50] for at in range(0, len(whole), 50)]
    return reply


def _brotli(data: bytes) -> bytes:
    import brotli  # pyright: ignore[reportMissingTypeStubs]

    return cast("Any", brotli).compress(data)


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "br": _brotli,
    "deflate": zlib.compress,
}
