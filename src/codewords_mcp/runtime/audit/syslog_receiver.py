"""The audit trail by syslog: one message of RFC 5424 for each entry, by UDP, TCP, TLS or a socket of this machine.

Over TCP and TLS each message has its length before it (RFC 6587, RFC 5425). Syslog has no answers: over TCP and TLS a
batch counts as sent when the receiver's side of the connection has taken all of it, by UDP when it is on its way.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from codewords_mcp.errors import InvalidInput, UpstreamFailed, UpstreamTimedOut
from codewords_mcp.runtime.audit.forwarding import SEND_TIMEOUT, AuditBatch
from codewords_mcp.runtime.model.audit import AuditEntry

Transport = Literal["udp", "tcp", "tls", "unix"]
PORTS: Final[dict[Transport, int]] = {"udp": 514, "tcp": 601, "tls": 6514}
MAX_DATAGRAM: Final = 8192
"""Bytes of a message by datagram. A longer one goes without the fields before and after."""
_FACILITY: Final = 13
"""Log audit."""
_SEVERITIES: Final = {"done": 6, "failed": 5, "refused": 4}
"""Informational, notice, warning."""
_MAX_SEQUENCE: Final = 2_147_483_647
_NOT_A_NAME: Final = re.compile(r"[^\x21-\x7e]")
_END_WAIT: Final = 5.0
"""Seconds that the receiver has to close its side. One that keeps it open has all the same."""


@dataclass(frozen=True, slots=True)
class SyslogAddress:
    """`host` is a path for a socket of this machine."""

    transport: Transport
    host: str
    port: int = 0


def parse_syslog(url: str) -> SyslogAddress:
    """Parse `udp://host:514`, `tcp://…`, `tls://…` or `unix:///dev/log`. Raises InvalidInput."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme == "unix" and parts.path and not parts.netloc:
        return SyslogAddress("unix", unquote(parts.path))
    if parts.scheme in PORTS and parts.hostname and parts.path in {"", "/"} and not parts.query:
        return SyslogAddress(parts.scheme, parts.hostname, port or PORTS[parts.scheme])
    raise InvalidInput(
        "CODEWORDS_AUDIT_SYSLOG is not an address of a syslog server.",
        hint="Write udp://host:514, tcp://host:601, tls://host:6514 or unix:///dev/log.",
    )


class AuditSyslog:
    """Sends entries to a syslog server. `authorities` is a file of certificates that TLS trusts instead of the system's."""

    name = "syslog"

    def __init__(self, address: SyslogAddress, authorities: Path | None = None) -> None:
        self._address = address
        self._authorities = authorities
        self._host = _NOT_A_NAME.sub("", socket.gethostname())[:255] or "-"

    async def send(self, batch: AuditBatch) -> None:
        """See `AuditReceiver`."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                if self._address.transport in {"tcp", "tls"}:
                    await self._send_stream(batch)
                else:
                    await asyncio.to_thread(self._send_datagrams, batch)
        except TimeoutError:
            raise UpstreamTimedOut("The syslog server takes no messages.") from None
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or type(error).__name__
            raise UpstreamFailed(f"The syslog server was not reached: {reason}.") from error

    async def _send_stream(self, batch: AuditBatch) -> None:
        context = None
        if self._address.transport == "tls":
            context = await asyncio.to_thread(ssl.create_default_context, cafile=self._authorities)
        reader, writer = await asyncio.open_connection(self._address.host, self._address.port, ssl=context)
        try:
            for entry in batch.entries:
                message = format_entry(entry, self._host)
                writer.write(b"%d " % len(message) + message)
                await writer.drain()

            # Its end, or a reset, tells more than that the kernel took the bytes.
            if writer.can_write_eof():
                writer.write_eof()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_END_WAIT):
                        while await reader.read(4096):
                            pass
        finally:
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_END_WAIT):
                    await writer.wait_closed()

    def _send_datagrams(self, batch: AuditBatch) -> None:
        """Send each entry as a datagram. Blocking."""
        address = self._address
        if address.transport == "unix":
            family, target = socket.AF_UNIX, address.host
        else:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
            family, *_, target = found[0]

        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.settimeout(SEND_TIMEOUT / 2)
            # Connected, a closed port is noticed at the next message.
            sender.connect(target)
            for entry in batch.entries:
                message = format_entry(entry, self._host)
                if len(message) > MAX_DATAGRAM:
                    message = format_entry(entry, self._host, brief=True)
                sender.send(message)


def format_entry(entry: AuditEntry, host: str, *, brief: bool = False) -> bytes:
    """An entry as a message of RFC 5424, whose text is JSON in ASCII. `brief` leaves out the fields before and after."""
    fields = entry.model_dump(mode="json")
    if brief:
        fields |= {"before": None, "after": None, "hidden": [], "cut": True}
    priority = _FACILITY * 8 + _SEVERITIES.get(entry.outcome, 5)
    moment = entry.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    name = _NOT_A_NAME.sub("", entry.action)[:32] or "-"
    sequence = ((entry.seq or 1) - 1) % _MAX_SEQUENCE + 1

    head = f'<{priority}>1 {moment} {host} codewords-mcp {os.getpid()} {name} [meta sequenceId="{sequence}"] '
    return (head + json.dumps(fields, separators=(",", ":"))).encode("ascii")
