"""Applies the policy when aiohttp resolves a name, and again when it dials an address."""

from __future__ import annotations

import errno
import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from codewords_mcp.runtime.egress import EgressPolicy
from codewords_mcp.runtime.egress.addresses import parse_address
from codewords_mcp.runtime.egress.dial import Dialler, Share
from codewords_mcp.runtime.egress.names import normal_host


class JudgingResolver(AbstractResolver):
    """Resolves to the addresses that the policy permits, and makes sockets to those only."""

    def __init__(self, dialler: Dialler, policy: EgressPolicy, share: Share) -> None:
        self._dialler = dialler
        self._policy = policy
        self._share = share
        self._permitted: set[tuple[str, int]] = set()

    async def judge(self, host: str, port: int) -> list[str]:
        """Addresses of a host (as `normal_host` gives it) that may be dialled.

        Raises DialRefused, Unreachable.
        """
        found = await self._dialler.permitted(self._policy, host, port, self._share)
        self._permitted.update((address, port) for address in found)
        return found

    def make_socket(self, info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
        """A socket for a judged address. aiohttp does not consult a resolver for literal addresses.

        Raises OSError for any other address.
        """
        family, kind, proto = info[:3]
        host, port = info[4][:2]
        if (str(parse_address(host)), port) not in self._permitted:
            raise OSError(errno.EACCES, "this address was not judged")
        return socket.socket(family, kind, proto)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a name. Raises DialRefused, Unreachable."""
        del family
        found = await self.judge(normal_host(host) or "", port)
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in found
        ]

    async def close(self) -> None:
        """Do nothing: the resolver owns no resources."""
