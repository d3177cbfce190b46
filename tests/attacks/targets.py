"""The host around the hostile programs: things to steal, servers to reach, a resolver that lies, and the real egress."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.support.egress import relayed_to

from codewords_mcp.runtime.egress import Egress, EgressPolicy
from codewords_mcp.runtime.web.dial import system_resolve

PUBLIC: Final = "198.51.100.1"
"""Stands for a public address in lookups that turn: nothing answers there, and the policy calls it documentation."""
_NAMES: Final = {
    "loopback.example": ["127.0.0.1"],
    "loopback6.example": ["::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "private.example": ["10.0.0.5", "192.168.7.7"],
    "zone.example": ["fe80::1%lo"],
    "metadata.google.internal": ["169.254.169.254"],
    "both.example": [PUBLIC, "127.0.0.1"],
}
_NUMERIC: Final = set("0123456789abcdefx.")


@dataclass
class LyingResolver:
    """Answers for the attacker's names, the turning ones anew each time; counts what it was asked."""

    asked: Counter[str] = field(default_factory=Counter[str])

    def __call__(self, name: str, port: int) -> list[str]:
        self.asked[name] += 1
        if name.startswith("rebinding"):
            return [PUBLIC] if self.asked[name] == 1 else ["127.0.0.1"]
        if name in _NAMES:
            return _NAMES[name]
        if (
            name.rstrip(".") == "localhost" or set(name) <= _NUMERIC
        ):  # what the machine's own resolver makes of numbers
            return system_resolve(name, port)
        raise OSError(f"no such name: {name}")


@dataclass
class Servers:
    """Servers of the host. `reached` counts connections to those that nobody may reach, by kind."""

    reached: Counter[str] = field(default_factory=Counter[str])
    _servers: list[asyncio.Server] = field(default_factory=list[asyncio.Server])
    ports: dict[str, int] = field(default_factory=dict[str, int])

    async def canary(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer at once, so that clients which only listen hear it too."""
        self.reached["tcp"] += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\ncanary")
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    async def allowed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """An allowed server: shows what it was asked, or redirects."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.split()[1]
            place = {
                b"/redirect": f"http://127.0.0.1:{self.ports['canary']}/",
                b"/metadata": "http://169.254.169.254/latest/",
            }.get(target)
            body = b"" if place else head
            status = f"302 Found\r\nLocation: {place}" if place else "200 OK"
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        writer.close()

    async def runtime(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Stands for the runtime's own port."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nruntime")
            await writer.drain()
        writer.close()

    async def listen(self, name: str, serve: Any, *hosts: str) -> None:
        """One port on all these addresses."""
        port = 0
        for host in hosts:
            server = await asyncio.start_server(serve, host, port, backlog=512)
            self._servers.append(server)
            port = server.sockets[0].getsockname()[1]
        self.ports[name] = port

    async def close(self) -> None:
        """Stop all."""
        for server in self._servers:
            server.close()


def own_addresses() -> list[str]:
    """The machine's addresses in its networks, as far as it has routes."""
    found: list[str] = []
    for family, target in ((socket.AF_INET, "198.51.100.9"), (socket.AF_INET6, "2001:4860:4860::8888")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            found.append(str(probe.getsockname()[0]))
    return found


@dataclass
class Targets:
    """The host: facts that the programs are told, and what they must not have touched."""

    folder: Path
    facts: dict[str, Any]
    servers: Servers
    resolver: LyingResolver
    egress: Egress
    udp: socket.socket
    unix: socket.socket
    abstract: socket.socket

    def touched(self) -> list[str]:
        """Servers of the host that somebody reached."""
        found = [name for name, count in self.servers.reached.items() if count]
        for name, one in (("udp", self.udp), ("unix", self.unix), ("abstract", self.abstract)):
            with contextlib.suppress(BlockingIOError):
                one.recv(1) if one is self.udp else one.accept()
                found.append(name)
        return found


def _sockets(folder: Path, name: str) -> tuple[socket.socket, socket.socket, socket.socket]:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    unix, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    unix.bind(str(folder / "unix"))
    os.chmod(folder / "unix", 0o777)
    abstract.bind("\0" + name)
    for one in (udp, unix, abstract):
        one.setblocking(False)
        if one is not udp:
            one.listen()
    return udp, unix, abstract


@asynccontextmanager
async def ground(folder: Path) -> AsyncGenerator[Targets]:
    """The host around one driver; `folder` is its own."""
    canary = folder / "canary"
    canary.mkdir()
    for name in ("kept", "file"):
        (canary / name).write_text("canary", encoding="utf-8")
        (canary / name).chmod(0o666)
    canary.chmod(0o777)
    servers, resolver, abstract_name = Servers(), LyingResolver(), f"canary-{secrets.token_hex(8)}"
    own = own_addresses()
    await servers.listen("canary", servers.canary, "127.0.0.1", "::1")
    await servers.listen("wide", servers.canary, *(own or ["127.0.0.1"]))
    await servers.listen("allowed", servers.allowed, "127.0.0.1")
    await servers.listen("runtime", servers.runtime, "127.0.0.1")
    udp, unix, abstract = _sockets(folder, abstract_name)
    ports = servers.ports
    egress = Egress(
        EgressPolicy(allow_private=frozenset({f"127.0.0.1:{ports['allowed']}"})), relayed_to("127.0.0.1", ports["runtime"]),
        resolve=resolver, connect_timeout=2.0,
    )  # fmt: skip
    facts = {
        "canary": str(canary / "file"), "canary_folder": str(canary), "port": ports["canary"], "wide_port": ports["wide"],
        "allowed": ports["allowed"], "udp_port": udp.getsockname()[1], "unix": str(folder / "unix"), "abstract": abstract_name,
        "own_addresses": own, "runtime_pid": os.getpid(), "ports": [8765, 3128],
    }  # fmt: skip
    try:
        yield Targets(folder, facts, servers, resolver, egress, udp, unix, abstract)
    finally:
        await egress.close()
        await servers.close()
        for one in (udp, unix, abstract):
            one.close()
