"""The policy at the moment a name is resolved, as aiohttp asks for it."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from codewords_mcp.runtime.egress import EgressPolicy
from codewords_mcp.runtime.egress.dial import Dialler, Share
from codewords_mcp.runtime.egress.names import normal_host


class JudgingResolver(AbstractResolver):
    """Gives the addresses that the policy permits; aiohttp dials those and no others."""

    def __init__(self, dialler: Dialler, policy: EgressPolicy, share: Share) -> None:
        self._dialler = dialler
        self._policy = policy
        self._share = share

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises Refused, Unreachable."""
        del family
        name = normal_host(host)
        found = await self._dialler.permitted(self._policy, name or "", port, self._share)
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
        """Nothing is held."""
