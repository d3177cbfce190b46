"""The two sides of an intercepted connection: handshakes, and the context of exchanges."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from codewords_mcp.runtime.egress.intercept.interception import Interception
from codewords_mcp.runtime.egress.intercept.trust import upstream_context
from codewords_mcp.runtime.egress.relay import Check, Traffic

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds for either handshake."""
MAX_READ_AHEAD: Final = 256 << 10
"""Bytes read ahead from either side."""

Dial = Callable[[], Awaitable[socket.socket]]
"""Connects to the host, under the sandbox's policy. Raises DialFailed."""
OnRefused = Callable[[str], None]


class HostUnreachable(Exception):  # an outcome, caught inside this package
    """The connection to the host failed. `reason` completes "could not be reached: …"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class TlsStream:
    """One side of the connection, decrypted."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    count: Callable[[int], None]
    """Called with the number of bytes written."""

    @property
    def protocol(self) -> str:
        """Protocol negotiated by ALPN."""
        tls: ssl.SSLObject = self.writer.get_extra_info("ssl_object")
        return tls.selected_alpn_protocol() or "http/1.1"

    async def send(self, data: bytes) -> None:
        """Write, and wait while the other side does not read. Raises OSError."""
        if data:
            self.count(len(data))
            self.writer.write(data)
            await self.writer.drain()

    async def close(self) -> None:
        """Close in order, or abort after 2 s. Never raises."""
        self.writer.close()
        try:
            # A peer that never closes its side must not hold the connection.
            async with asyncio.timeout(2):
                await self.writer.wait_closed()
        except TimeoutError:
            self.writer.transport.abort()
        except OSError:
            pass


@dataclass(slots=True)
class InterceptSession:
    """Context of one connection's exchanges. `refused` and `used` write to the run's record."""

    interception: Interception
    host: str
    port: int
    dial: Dial
    refused: OnRefused
    used: Callable[[tuple[str, ...]], None]
    traffic: Traffic
    """Counts the bytes inside TLS."""
    check: Check | None = None
    """Judges the program's data where it is tunnelled."""
    secure: bool = True
    """False for plain HTTP, which is read only with a recorder."""

    @property
    def authority(self) -> str:
        """Authority as in `Host` and `:authority`."""
        if ":" in self.host:
            host = f"[{self.host}]"
        else:
            host = self.host
        if self.port == (443 if self.secure else 80):
            return host
        return f"{host}:{self.port}"

    async def connect(self, protocols: tuple[str, ...], sock: socket.socket | None = None) -> TlsStream:
        """Connect to the host and check its certificate.

        Raises HostUnreachable; DialFailed if it must be dialled again.
        """
        sock = sock or await self.dial()
        try:
            reader, writer = await asyncio.open_connection(
                # The host's name is verified against its certificate: only then does it get a
                # value.
                sock=sock,
                limit=MAX_READ_AHEAD,
                **(self._tls(protocols) if self.secure else {}),
            )
        except ssl.SSLCertVerificationError as error:
            raise HostUnreachable(f"its certificate is not valid ({error.verify_message})") from None
        except (OSError, TimeoutError) as error:
            raise HostUnreachable("it does not speak TLS as it should") from error

        return TlsStream(reader, writer, self._sent)

    def _tls(self, protocols: tuple[str, ...]) -> dict[str, Any]:
        context = upstream_context(protocols)
        return {"ssl": context, "server_hostname": self.host, "ssl_handshake_timeout": HANDSHAKE_TIMEOUT}

    async def serve_plain(self, client: socket.socket) -> TlsStream:
        """Stream to the program, without TLS."""
        return TlsStream(*await asyncio.open_connection(sock=client, limit=MAX_READ_AHEAD), self._received)

    async def serve_tls(self, client: socket.socket, protocol: str) -> TlsStream:
        """Stream to the program, with a certificate of the sandbox's authority. Raises OSError."""
        # By hand, since `open_connection` cannot take the server's side of TLS.
        reader = asyncio.StreamReader(limit=MAX_READ_AHEAD)
        talk = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        context = self.interception.authority.context(self.host, protocol)
        transport, _ = await loop.connect_accepted_socket(
            lambda: talk, client, ssl=context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT
        )
        return TlsStream(reader, asyncio.StreamWriter(transport, talk, reader, loop), self._received)

    def _sent(self, count: int) -> None:
        self.traffic.count_sent(count)

    def _received(self, count: int) -> None:
        self.traffic.count_received(count)
