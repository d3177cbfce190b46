"""A connection to a provider, with a timeout for each phase.

Addresses are tried as RFC 8305 describes, by aiohappyeyeballs. TLS verifies against the system's
store, or the file that `SSL_CERT_FILE` names.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

from codewords_mcp.common.http1 import ResponseConnection


class Endpoint(NamedTuple):
    """Target of a connection. `proxy` is the URL of the HTTP proxy in between, "" for none."""

    host: str
    port: int
    secure: bool
    proxy: str = ""


class PhaseTimeouts(NamedTuple):
    """Seconds to wait: for a connection, for the response's head, between its chunks, and for all
    of it.
    """

    connect: float
    first_byte: float
    between_chunks: float
    total: float


class ProviderConnection(ResponseConnection):
    """A connection, which carries one exchange after the other."""

    max_unread = 512 << 10

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self.endpoint = endpoint
        self._writable: asyncio.Future[None] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        super().connection_lost(exc)
        # A sender that waits until it may write must learn that it never will.
        self.resume_writing()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def write(self, data: bytes) -> None:
        """Send bytes, unless the connection is lost."""
        if self._transport is not None and not self.lost:
            self._transport.write(data)

    async def send(self, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        """Stream a request body. An early response ends it; an error of the body ends the exchange."""
        try:
            async for piece in body:
                # A provider that has answered needs no more of the body.
                if self.lost or self.complete:
                    return
                if piece:
                    self.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if self._writable is not None:
                    await self._writable

            if chunked:
                self.write(b"0\r\n\r\n")
            self.sent = True
        except Exception as error:  # noqa: BLE001
            # An error of the caller's body, raised where the response is awaited.
            self.fail(error)
