"""The suite's own network behind the sandboxes: it notes what comes out of each, and answers a little.

A *witness* is a connection that a program keeps open to the runtime. It tells when its process has ended: the suite
never closes one, also not when the driver closes the sandbox's network.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from codewords_mcp.runtime.sandboxes.base import NetworkHandle, SandboxSockets
from codewords_mcp.testing.sandboxes.expecting import WAIT_TIMEOUT, within

URI: Final = "http://127.0.0.1:8765"
"""The runtime's address for programs; a driver whose listener is elsewhere overrides it in their variables."""
RESOLVED: Final = "198.18.0.9"
"""The address that every name has here."""
ANSWERING: Final = "203.0.113.7"
"""The only other address that answers here; all others are refused, as a policy does, after the connection stands."""
_SO_ORIGINAL_DST: Final = 80


def _events() -> dict[str, asyncio.Event]:
    # Made when it is first asked for: a check may wait for a witness that is still to come.
    return defaultdict(asyncio.Event)


@dataclass(slots=True)
class Side(NetworkHandle):
    """One sandbox's network, seen from the host."""

    sandbox_id: str
    sockets: SandboxSockets
    closed: bool = False
    caught: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """Original destinations of redirected connections."""
    proxied: list[str] = field(default_factory=list[str])
    """Request lines that came to the proxy."""
    looked_up: list[bytes] = field(default_factory=list[bytes])
    """DNS questions, as they came."""
    servers: list[asyncio.Server] = field(default_factory=list[asyncio.Server])
    witnesses: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])
    came: dict[str, asyncio.Event] = field(default_factory=_events)
    went: dict[str, asyncio.Event] = field(default_factory=_events)

    async def close(self) -> None:
        """See `NetworkHandle`; witnesses stay."""
        self.closed = True
        loop = asyncio.get_running_loop()

        for server in self.servers:
            for listener in server.sockets:
                loop.remove_reader(listener.fileno())

        # A connection accepted in the very moment of `Server.close` would be lost, open: let it get its transport first.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for listener in (self.sockets.runtime, self.sockets.connect, self.sockets.transparent):
            if listener is not None:
                # Closed here too, where it does not serve yet.
                listener.close()

        if self.sockets.dns is not None and self.sockets.dns.fileno() >= 0:
            loop.remove_reader(self.sockets.dns.fileno())
            self.sockets.dns.close()

    async def seen(self, witness: str) -> None:
        """Wait for a witness of this name."""
        await within(self.came[witness].wait(), f"The connection {witness!r} from the sandbox to the runtime")

    async def gone(self, witness: str, seconds: float = WAIT_TIMEOUT) -> None:
        """Wait until the witness's process has let go, which takes its end."""
        await within(self.went[witness].wait(), f"The end of the process {witness!r} of the sandbox", seconds)

    async def serve(self) -> None:
        """Answer on every socket."""
        sockets = self.sockets
        for listener, answer in (
            (sockets.runtime, self._runtime),
            (sockets.connect, self._connect),
            (sockets.transparent, self._transparent),
        ):
            if listener is not None:
                listener.setblocking(False)
                self.servers.append(await asyncio.start_server(answer, sock=listener))

        if sockets.dns is not None:
            sockets.dns.setblocking(False)
            asyncio.get_running_loop().add_reader(sockets.dns.fileno(), self._resolve, sockets.dns)

    async def _runtime(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = ""
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            _, _, name = head.split()[1].decode().partition("/witness/")
            text = f"runtime of {self.sandbox_id}".encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(text) + text)
            self.came[name].set()

            if name:
                # Kept: the connection would end when the object is collected.
                self.witnesses.add(writer)
                # Until its process has ended: nothing else closes it.
                await reader.read()

        self.witnesses.discard(writer)
        writer.close()
        self.went[name].set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.proxied.append(head.split(b"\r\n")[0].decode("latin-1"))
            writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 7\r\n\r\nproxied")
            await writer.drain()
        writer.close()

    async def _transparent(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link: socket.socket = writer.get_extra_info("socket")
        _, port, address = struct.unpack_from("!HH4s", link.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16))
        self.caught.append((socket.inet_ntoa(address), port))
        with contextlib.suppress(OSError):
            # As a policy does that refuses after the connection stands.
            if self.caught[-1][0] in (RESOLVED, ANSWERING):
                writer.write(b"caught")
                await writer.drain()
        writer.close()

    def _resolve(self, dns: socket.socket) -> None:
        with contextlib.suppress(OSError):
            query, client = dns.recvfrom(4096)
            self.looked_up.append(query)
            # The question's name ends with an empty label; type and class follow.
            end = query.index(b"\0", 12) + 5
            wants_address = query[end - 4 : end] == b"\0\1\0\1"

            if wants_address:
                answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(RESOLVED)
            else:
                answer = b""

            head = query[:2] + b"\x81\x80\0\1" + struct.pack("!H", bool(answer)) + bytes(4)
            dns.sendto(head + query[12:end] + answer, client)


class SuiteNetwork:
    """Implements `Network`; `delay` seconds pass until a sandbox is attached."""

    def __init__(self, delay: float = 0.0) -> None:
        self.sides: dict[str, Side] = {}
        self._delay = delay

    async def attach(self, sandbox_id: str, sockets: SandboxSockets) -> Side:
        """See `Network`."""
        side = self.sides[sandbox_id] = Side(sandbox_id, sockets)
        try:
            await asyncio.sleep(self._delay)
            await side.serve()
        except BaseException:
            # Cancelled: the sockets are owned here all the same.
            await side.close()
            raise
        return side

    def close(self) -> None:
        """Hang up on what is left of all sandboxes."""
        # Witnesses are not closed with a network, so that they tell of processes only.
        for side in self.sides.values():
            for witness in list(side.witnesses):
                witness.transport.abort()

    def open(self) -> set[str]:
        """Ids of sandboxes whose network the driver has not closed."""
        return {name for name, side in self.sides.items() if not side.closed}
