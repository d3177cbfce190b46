"""The two sides of an intercepted connection: their handshakes, and what the exchanges on it need."""

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

HANDSHAKE: Final = 10.0
"""Seconds for either handshake."""
LIMIT: Final = 256 << 10
"""Bytes read ahead from either side."""

Dial = Callable[[], Awaitable[socket.socket]]
"""Connects to the host, under the sandbox's policy. Raises NotConnected."""
Said = Callable[[str], None]


class HostUnreachable(Exception):  # an outcome, caught inside this room
    """The connection to the host did not come about; `reason` completes "could not be reached: …"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class TlsStream:
    """One side of the connection, decrypted."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    count: Callable[[int], None]
    """Told of the bytes that are written to it."""

    @property
    def protocol(self) -> str:
        """What ALPN came to."""
        tls: ssl.SSLObject = self.writer.get_extra_info("ssl_object")
        return tls.selected_alpn_protocol() or "http/1.1"

    async def send(self, data: bytes) -> None:
        """Write, waiting while the other side does not read. Raises OSError."""
        if data:
            self.count(len(data))
            self.writer.write(data)
            await self.writer.drain()

    async def close(self) -> None:
        """End it, in order where the other side plays along. Never raises."""
        self.writer.close()
        try:
            async with asyncio.timeout(2):
                await self.writer.wait_closed()
        except TimeoutError:
            self.writer.transport.abort()
        except OSError:
            pass


@dataclass(slots=True)
class InterceptSession:
    """What the exchanges of one connection need. `refused` and `used` note what happened in the run's record."""

    interception: Interception
    host: str
    port: int
    dial: Dial
    refused: Said
    used: Callable[[tuple[str, ...]], None]
    traffic: Traffic
    """Counts what is said inside TLS."""
    check: Check | None = None
    """Judges what the program says where it is tunnelled."""
    secure: bool = True
    """False for plain HTTP, which is read only where there is a recorder."""

    @property
    def authority(self) -> str:
        """As `Host` and `:authority` have it."""
        if ":" in self.host:
            host = f"[{self.host}]"
        else:
            host = self.host
        if self.port == (443 if self.secure else 80):
            return host
        return f"{host}:{self.port}"

    async def connect(self, protocols: tuple[str, ...], sock: socket.socket | None = None) -> TlsStream:
        """To the host, its certificate checked. Raises Failed; NotConnected where it has to be dialled again."""
        sock = sock or await self.dial()
        try:
            reader, writer = await asyncio.open_connection(
                sock=sock, limit=LIMIT, **(self._tls(protocols) if self.secure else {})
            )
        except ssl.SSLCertVerificationError as error:
            raise HostUnreachable(f"its certificate is not valid ({error.verify_message})") from None
        except (OSError, TimeoutError) as error:
            raise HostUnreachable("it does not speak TLS as it should") from error

        return TlsStream(reader, writer, self._sent)

    def _tls(self, protocols: tuple[str, ...]) -> dict[str, Any]:
        context = upstream_context(protocols)
        return {"ssl": context, "server_hostname": self.host, "ssl_handshake_timeout": HANDSHAKE}

    async def serve_plain(self, client: socket.socket) -> TlsStream:
        """To the program, without TLS."""
        return TlsStream(*await asyncio.open_connection(sock=client, limit=LIMIT), self._received)

    async def serve_tls(self, client: socket.socket, protocol: str) -> TlsStream:
        """To the program, with a certificate of the sandbox's authority. Raises OSError."""
        reader = asyncio.StreamReader(limit=LIMIT)
        talk = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        context = self.interception.authority.context(self.host, protocol, self._may_go_by)
        transport, _ = await loop.connect_accepted_socket(
            lambda: talk, client, ssl=context, ssl_handshake_timeout=HANDSHAKE
        )
        return TlsStream(reader, asyncio.StreamWriter(transport, talk, reader, loop), self._received)

    def _sent(self, count: int) -> None:
        self.traffic.sent += count

    def _received(self, count: int) -> None:
        self.traffic.received += count

    def _may_go_by(self, host: str, name: str) -> bool:
        fits = name.lower().removesuffix(".") == host
        if not fits:
            self.refused("it asked for another host by TLS (SNI) than it connected to")
        return fits
