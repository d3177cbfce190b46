"""Connection pool to providers: reuses idle connections and opens new ones."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from codewords_mcp.common.http1 import ConnectionBrokenError, IdleConnections
from codewords_mcp.runtime.gateway.connecting import authorization_of, dial, tls_context, tunnel
from codewords_mcp.runtime.gateway.http_connection import Endpoint, PhaseTimeouts, ProviderConnection

if TYPE_CHECKING:
    import ssl

KEEP_ALIVE_TIMEOUT = 20.0
"""Seconds that an idle connection is reused.

Shorter than providers' own timeouts, so that they rarely close one under a request.
"""


class ProviderResponse:
    """A response whose head has arrived.

    Read `chunks`, or `close` it. Names in `headers` are in lower case.
    """

    def __init__(self, connection: ProviderConnection, pool: Pool, between_chunks: float) -> None:
        self.status = connection.status
        self.headers = connection.headers
        self._connection: ProviderConnection | None = connection
        self._pool = pool
        self._between_chunks = between_chunks
        self._peeked: list[bytes] = []

    def header(self, name: bytes) -> str:
        """A header's value, "" if it is absent."""
        for found, value in self.headers:
            if found == name:
                return value.decode("latin-1")
        return ""

    async def peek(self, max_bytes: int) -> bytes:
        """The body, which `chunks` yields again; empty if it is longer than `max_bytes`.

        Raises TimeoutError, ConnectionBrokenError.
        """
        size, connection = 0, self._connection
        while connection is not None and size <= max_bytes:
            chunk = await connection.next(self._between_chunks)
            if chunk is None:
                self.close()
                return b"".join(self._peeked)
            self._peeked.append(chunk)
            size += len(chunk)
        return b""

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises as `next` does."""
        while (chunk := await self.next()) is not None:
            yield chunk

    async def next(self) -> bytes | None:
        """The body as far as it has come, None after its end. Raises TimeoutError, and ConnectionBrokenError if it ends early."""
        if self._peeked:
            return self._peeked.pop(0)
        connection = self._connection
        if connection is None:
            return None

        chunk = await connection.next(self._between_chunks)
        # Before the last chunk is passed on, so that the caller's next request finds it idle.
        if connection.complete:
            self.close()
        return chunk

    async def push(self, take: Callable[[bytes], bool]) -> None:
        """Hand the body to `take` as it arrives, until that returns False or the end is here, which is left to `rest`.

        Raises as `next` does.
        """
        while self._peeked:
            if not take(self._peeked.pop(0)):
                return
        if self._connection is not None:
            await self._connection.push(take, self._between_chunks)

    def rest(self) -> bytes | None:
        """Take all that is left of a body whose end has arrived; None before that."""
        connection, rest = self._connection, b""
        if connection is not None:
            if not connection.complete:
                return None
            rest = connection.rest()
            # Before it is passed on, so that the caller's next request finds the connection idle.
            self.close()
        if self._peeked:
            rest = b"".join([*self._peeked, rest])
            self._peeked.clear()
        return rest

    def close(self) -> None:
        """Release the connection. It is reused if the response is complete. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        # The provider answered before it had the whole body.
        if connection.sender is not None and not connection.sender.done():
            connection.sender.cancel()
        if connection.reusable:
            self._pool.put_back(connection)
        else:
            connection.abort()


class Pool:
    """Connections to all endpoints, for one event loop."""

    def __init__(self, timeouts: PhaseTimeouts) -> None:
        self._timeouts = timeouts
        self._idle: defaultdict[Endpoint, IdleConnections[ProviderConnection]] = defaultdict(
            partial(IdleConnections[ProviderConnection], KEEP_ALIVE_TIMEOUT)
        )
        self._busy: set[ProviderConnection] = set()
        self._context: ssl.SSLContext | None = None

    async def request(
        self,
        endpoint: Endpoint,
        head: bytes,
        body: bytes | AsyncIterator[bytes] | None,
        *,
        chunked: bool = False,
    ) -> ProviderResponse:
        """Send a request and return when the head of its response has arrived.

        `head` ends with an empty line.

        Raises OSError if no connection could be made, TimeoutError, ConnectionBrokenError, and
        whatever `body` raises.
        """
        connection = self._idle[endpoint].take() or await self._connect(endpoint)
        loop = asyncio.get_running_loop()
        method = head[: head.index(b" ")]
        connection.begin(head_only=method == b"HEAD", until=loop.time() + self._timeouts.total)
        self._busy.add(connection)

        try:
            if body is None or isinstance(body, bytes):
                connection.write(head + body if body else head)
                connection.sent = True
            else:
                connection.write(head)
                connection.sender = asyncio.create_task(connection.send(body, chunked=chunked))

            await connection.head(self._timeouts.first_byte)
        except BaseException:
            # A request that was sent in part leaves the connection useless.
            if connection.sender is not None:
                connection.sender.cancel()
            connection.abort()
            raise
        finally:
            self._busy.discard(connection)

        return ProviderResponse(connection, self, self._timeouts.between_chunks)

    def put_back(self, connection: ProviderConnection) -> None:
        """Make a connection available to the next request."""
        self._idle[connection.endpoint].put_back(connection)

    async def _connect(self, endpoint: Endpoint) -> ProviderConnection:
        try:
            async with asyncio.timeout(self._timeouts.connect):
                return await self._open(endpoint)
        except TimeoutError:
            # Unlike the later timeouts, this one means that nothing was sent, so any retry is safe.
            raise ConnectionError("no connection in time") from None

    async def _open(self, endpoint: Endpoint) -> ProviderConnection:
        loop = asyncio.get_running_loop()
        secure: ssl.SSLContext | None = None
        if endpoint.secure:
            if self._context is None:
                # Reads the certificates from disk.
                self._context = await asyncio.to_thread(tls_context)
            secure = self._context

        proxy = urlsplit(endpoint.proxy)
        if endpoint.proxy:
            raw = await dial(proxy.hostname or "", proxy.port or 80)
        else:
            raw = await dial(endpoint.host, endpoint.port)

        try:
            # A proxy for plain HTTP gets the request itself.
            if endpoint.proxy and secure is not None:
                await tunnel(raw, endpoint, authorization_of(endpoint.proxy))
            name = endpoint.host if secure is not None else None
            _, connection = await loop.create_connection(
                partial(ProviderConnection, endpoint), sock=raw, ssl=secure, server_hostname=name
            )
        except BaseException:
            raw.close()
            raise

        return connection

    def close(self) -> None:
        """Close idle connections and fail requests that wait for a response."""
        for idle in self._idle.values():
            idle.close()
        for connection in list(self._busy):
            connection.fail(ConnectionBrokenError("closed", began=False))
