"""One end of a TLS connection, apart from its socket: what a relay needs to pass on what TLS hides."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Final

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds for a handshake."""
_CHUNK: Final = 64 << 10
_RECORD: Final = 16 << 10


class TlsEnd:
    """A server's end without `host`, or the end of a client of that host."""

    def __init__(
        self, context: ssl.SSLContext, host: str | None = None, session: ssl.SSLSession | None = None
    ) -> None:
        self._arrived, self._pending = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self._arrived, self._pending, server_side=host is None, server_hostname=host, session=session
        )
        self.closed = False
        """The peer said that it sends no more."""

    async def handshake(self, sock: socket.socket, first: bytes = b"") -> None:
        """Agree with the peer, whose `first` bytes were read already. Raises OSError, such as ssl.SSLError."""
        loop = asyncio.get_running_loop()
        self._arrived.write(first)
        async with asyncio.timeout(HANDSHAKE_TIMEOUT):
            while not self._agreed():
                await self._send(sock)
                data = await loop.sock_recv(sock, _CHUNK)
                if not data:
                    raise ConnectionResetError("the peer hung up within the handshake")
                self._arrived.write(data)
            await self._send(sock)

    def _agreed(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    async def _send(self, sock: socket.socket) -> None:
        if self._pending.pending:
            await asyncio.get_running_loop().sock_sendall(sock, self._pending.read())

    def decrypt(self, data: bytes) -> list[bytes]:
        """Data of the peer in these bytes. Raises ssl.SSLError."""
        pieces: list[bytes] = []
        if data:
            self._arrived.write(data)
        try:
            while piece := self.tls.read(_RECORD):
                pieces.append(piece)
                # To ask for more than there is would cost an exception.
                if not self._arrived.pending and not self.tls.pending():
                    return pieces
        except ssl.SSLWantReadError:
            return pieces
        self.closed = True
        return pieces

    def encrypt(self, data: bytes) -> None:
        """Say this to the peer, with the next `take`. Raises ssl.SSLError."""
        self.tls.write(data)

    def close(self) -> None:
        """Say that nothing more is sent."""
        # It would wait for the peer's own word.
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()

    def take(self) -> bytes:
        """Bytes for the peer."""
        return self._pending.read()
