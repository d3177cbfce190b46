"""The internet of the machines: servers of this host under any name, and the real internet if `Internet.real` is set.

Names get addresses that look public. Connections are checked against the sandbox's egress rules as E2B does it: a host
in `allowOut` is allowed, else a host in `denyOut` is refused, else the connection is allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from codewords_mcp.runtime.egress.dns import DnsResponder
from codewords_mcp.runtime.egress.fake_names import FakeNames
from codewords_mcp.runtime.egress.listener import ConnectionListener
from codewords_mcp.runtime.egress.relay import relay, reset
from codewords_mcp.runtime.model.addresses import Address, parse_address
from codewords_mcp.runtime.web.dial import connect
from codewords_testing.e2b.machine import MachineNetwork

# Public ones, by what every library says of them; none is ever dialled.
_ADDRESSES: Final = ipaddress.IPv4Network("11.0.0.0/16")
_SO_ORIGINAL_DST: Final = 80
_CONNECTIONS: Final = 256
_DIAL_SECONDS: Final = 10.0


@dataclass(slots=True)
class Internet:
    """`hosts`: by name, or by address, the host and port of a server that stands for it, whatever the port asked for.

    real: names that are not listed are the real internet's; else nobody is there.
    """

    hosts: Mapping[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    real: bool = False

    def serve(self, network: MachineNetwork | None, rules: dict[str, Any]) -> InternetGateway:
        """The way out of a machine; None: of one that cannot have any on this host."""
        return InternetGateway(self, network, rules)

    def resolve(self, host: str, port: int) -> tuple[str, int] | None:
        """Host and port to connect to; None if there is no server."""
        return self.hosts.get(host) or ((host, port) if self.real else None)


class PublicNames(FakeNames):
    """Names with addresses that look public, so that a policy which refuses others lets them pass."""

    def address_of(self, name: str) -> Address | None:
        """See `FakeNames`."""
        # The product gives names addresses of 198.18.0.0/15, which a policy may refuse as not
        # public.
        fake = super().address_of(name)
        if fake is None:
            return None
        return _ADDRESSES[int(fake) & 0xFFFF]

    def name_of(self, address: Address) -> str | None:
        """See `FakeNames`."""
        if address not in _ADDRESSES:
            return None
        return super().name_of(ipaddress.IPv4Address(0xC6120000 | int(address) & 0xFFFF))


class InternetGateway:
    """One machine's way out; `rules` may be replaced."""

    def __init__(self, internet: Internet, network: MachineNetwork | None, rules: dict[str, Any]) -> None:
        self.rules = rules
        self.reached: list[tuple[str, int, bool]] = []
        """Host, port, and whether it was let out."""
        self._internet = internet
        self._names = PublicNames()

        if network:
            self._dns = DnsResponder(network.dns, self._names)
        else:
            self._dns = None

        if network:
            self._listener = ConnectionListener(
                network.tcp, self._carry, limit=_CONNECTIONS, overflow=_ignore_overflow
            )
        else:
            self._listener = None

    async def close(self) -> None:
        """Hang up. Idempotent."""
        if self._dns is not None:
            self._dns.close()
        if self._listener is not None:
            await self._listener.close()

    async def _carry(self, client: socket.socket) -> None:
        # Where the program wanted to go, before the kernel redirected it.
        raw = client.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
        port, packed = struct.unpack_from("!H4s", raw, 2)
        address = ipaddress.IPv4Address(packed)
        host = self._names.name_of(address) or str(address)
        allowed = permits(self.rules, host)
        self.reached.append((host, port, allowed))

        if allowed:
            server = self._internet.resolve(host, port)
        else:
            server = None

        upstream = await _connect(*server) if server else None
        if upstream is None:
            # A reset, since a plain end would look like a server that has nothing to say.
            reset(client)
        else:
            await relay(client, upstream)


def _ignore_overflow(_: socket.socket) -> None:
    """The listener resets it, which is all that a test needs."""


async def _connect(host: str, port: int) -> socket.socket | None:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_DIAL_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return await connect(str(found[0][4][0]), port)
    return None


def permits(rules: dict[str, Any], host: str) -> bool:
    """Whether E2B's rules let a connection to this name or address out."""
    if any(_matches(rule, host) for rule in _list(rules, "allowOut")):
        return True
    return not any(_matches(rule, host) for rule in _list(rules, "denyOut"))


def _list(rules: dict[str, Any], name: str) -> list[str]:
    return rules.get(name) or []


def _matches(rule: str, host: str) -> bool:
    if rule == "0.0.0.0/0":
        return True
    address = parse_address(host)
    if address is None:
        return host == rule or (rule.startswith("*.") and host.endswith(rule[1:]))
    with contextlib.suppress(ValueError):
        return address in ipaddress.ip_network(rule)
    return False
