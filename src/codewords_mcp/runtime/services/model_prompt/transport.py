"""Lets an SDK's requests go through the gateway without a network: the same route, key, budget and books as for all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.gateway.gateway import Gateway
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.provider import CallUsage, GatewayResponse, Provider, ProviderRequest

HOST = "http://gateway.invalid"
"""No such host is ever asked: the transport answers."""


class GatewayTransport(httpx2.AsyncBaseTransport):
    """One question's transport. `used`: what its calls used; `failure`: why the gateway refused the last one.

    `may_wait`, `instead_of`: see `ProviderRequest`.
    """

    def __init__(
        self, gateway: Gateway, provider: Provider, caller: Caller, *, may_wait: bool, instead_of: str
    ) -> None:
        self._gateway = gateway
        self._provider: Provider = provider
        self._caller = caller
        self._may_wait = may_wait
        self._instead_of = instead_of
        self._replies: list[GatewayResponse] = []
        self.failure: CodewordsError | None = None

    @property
    def used(self) -> list[CallUsage]:
        """Of the calls that cost something."""
        return [used for reply in self._replies if (used := reply.used()) is not None]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Ask the gateway. Its refusal becomes an answer that no SDK repeats, and is kept to be raised again."""
        body = await request.aread()
        raw = request.url.raw_path.partition(b"?")

        try:
            reply = await self._gateway.send(
                ProviderRequest(
                    provider=self._provider,
                    method=request.method,
                    path=raw[0].decode("latin-1"),
                    query=raw[2],
                    headers=[(name.lower(), value) for name, value in request.headers.raw],
                    body=_once(body),
                    caller=self._caller,
                    run_mount=False,
                    here=HOST,
                    length=len(body),
                    may_wait=self._may_wait,
                    may_switch=False,
                    instead_of=self._instead_of,
                )
            )
        except CodewordsError as failure:
            self.failure = failure
            return httpx2.Response(
                failure.status, headers={"x-should-retry": "false"}, json={"error": {"code": 0}}
            )

        self._replies.append(reply)
        return httpx2.Response(reply.status, headers=reply.headers, stream=_Body(reply))


class _Body(httpx2.AsyncByteStream):
    def __init__(self, reply: GatewayResponse) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._reply.body:
            yield chunk

    async def aclose(self) -> None:
        await self._reply.aclose()


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
