"""A transport of httpx2 that dials no address but those that the egress policy permits.

A connection pool hands the host of each URL to its network backend. This backend resolves the
name, judges its addresses and dials exactly the permitted ones. TLS is made above it, so the name
that is verified and sent as SNI stays that of the URL.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, cast

import anyio
import httpcore2
import httpx2

from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.model.host_names import normal_host
from codewords_mcp.runtime.web.dial import HEAD_START_S, Dialler, Share

KEEPALIVE_S = 15.0
"""Seconds that an idle kept connection stays open."""


class JudgedBackend(httpcore2.AsyncNetworkBackend):
    """Network backend of one caller. `network` dials what was judged, by its number."""

    def __init__(
        self,
        dialler: Dialler,
        policy: EgressPolicy,
        share: Share,
        network: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        self._dialler = dialler
        self._policy = policy
        self._share = share
        self._network = network or cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the protocol of httpcore2
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to a permitted address of a host. Raises DialRefused, Unreachable, ConnectError."""
        permitted = await self._dialler.permitted(self._policy, normal_host(host) or "", port, self._share)
        streams: list[httpcore2.AsyncNetworkStream] = []
        failures: list[Exception] = []

        async def attempt(address: str, failed: anyio.Event) -> None:
            try:
                stream = await self._network.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failures.append(error)
                failed.set()
                return

            # Another address was quicker.
            if streams:
                await stream.aclose()
                return
            streams.append(stream)
            attempts.cancel_scope.cancel()

        async with anyio.create_task_group() as attempts:
            # One after the other, each with a head start: the addresses come in the system's order
            # of preference.
            for address in permitted:
                failed = anyio.Event()
                attempts.start_soon(attempt, address, failed)
                with anyio.move_on_after(HEAD_START_S):
                    await failed.wait()

        if not streams:
            raise failures[0]
        return streams[0]


class JudgedTransport(httpx2.AsyncBaseTransport):
    """Sends each request over a connection of its own: a connection is judged for one caller.

    `keepalive` connections stay open between requests; only for a transport that has one caller.
    """

    def __init__(self, backend: JudgedBackend, tls: ssl.SSLContext, *, keepalive: int = 0) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_keepalive_connections=keepalive,
            keepalive_expiry=KEEPALIVE_S if keepalive else None,
            network_backend=backend,
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request. Raises DialRefused, Unreachable, or an error of httpcore2."""
        response = await self._pool.handle_async_request(
            httpcore2.Request(
                method=request.method,
                url=httpcore2.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=cast("AsyncIterable[bytes]", request.stream),
                extensions=request.extensions,
            )
        )
        return httpx2.Response(response.status, headers=response.headers, stream=_PoolBody(response))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()


class _PoolBody(httpx2.AsyncByteStream):
    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.aiter_stream():
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()
