"""Sends an SDK's requests through the gateway without a network: with the same routing, key, budget
and metering.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.gateway.gateway import Gateway
from codewords_mcp.runtime.gateway.named_routes import once, path_at
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.provider import CallUsage, GatewayResponse, Provider, ProviderRequest

HOST = "http://gateway.invalid"
"""A host that doesn't exist: the transport answers, so it is never resolved."""


class GatewayTransport(httpx2.AsyncBaseTransport):
    """The transport of one prompt. `used` is the usage of its calls, `failure` the gateway's last
    refusal.

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
        self._responses: list[GatewayResponse] = []
        self.failure: CodewordsError | None = None

    @property
    def answered(self) -> bool:
        """Whether the provider's last response is a success."""
        return bool(self._responses) and self._responses[-1].status < 300

    @property
    def used(self) -> list[CallUsage]:
        """Usage of the calls that cost something."""
        return [used for response in self._responses if (used := response.used()) is not None]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request through the gateway.

        A refusal is stored, to be raised again, and becomes a response that no SDK retries.
        """
        body = await request.aread()
        raw = request.url.raw_path.partition(b"?")
        path = raw[0].decode("latin-1")
        named = self._gateway.named.find(self._provider)

        try:
            response = await self._gateway.send(
                ProviderRequest(
                    provider=self._provider,
                    method=request.method,
                    path=path_at(named, path) if named else path,
                    query=raw[2],
                    # The gateway knows headers by their names in lower case.
                    headers=[(name.lower(), value) for name, value in request.headers.raw],
                    body=once(body),
                    caller=self._caller,
                    run_mount=False,
                    here=HOST,
                    length=len(body),
                    may_wait=self._may_wait,
                    # A prompt has its fallbacks itself, each with its own SDK.
                    may_switch=False,
                    instead_of=self._instead_of,
                    named=named is not None,
                    interface=named.interface if named else "",
                    scope=named.scope if named else "",
                )
            )
        except CodewordsError as failure:
            self.failure = failure
            # OpenAI's and Anthropic's SDKs obey this header; the gateway has retried already.
            return httpx2.Response(
                failure.status, headers={"x-should-retry": "false"}, json={"error": {"code": 0}}
            )

        self._responses.append(response)
        return httpx2.Response(response.status, headers=response.headers, stream=_Body(response))


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: GatewayResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.body:
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()
