"""The HTTP transport of one session with a server: judged addresses, bounded and plain bodies.

What went wrong first is noted in `SessionFaults`, since the client of the protocol words all
failures alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2

from codewords_mcp.errors import AddressRefused, UpstreamFailed
from codewords_mcp.runtime.integrations.mcp.session_faults import MAX_BYTES, MAX_STREAM_BYTES, SessionFaults
from codewords_mcp.runtime.web.dial import DialRefused, Unreachable
from codewords_mcp.runtime.web.judged_transport import JudgedTransport

END_TIMEOUT_S = 2.0
"""Seconds for telling a server that its session has ended."""
_PLAIN = frozenset({"", "identity"})


class BodyRefused(httpx2.TransportError):
    """A response that is too long, or compressed although nobody asked for that."""


class ServerTransport(httpx2.AsyncBaseTransport):
    """Sends the requests of one session with the server at `url`. `streams`: by the older transport, with
    one endless GET.
    """

    def __init__(self, inner: JudgedTransport, faults: SessionFaults, url: str, *, streams: bool) -> None:
        self._url = httpx2.URL(url)
        self._inner = inner
        self._faults = faults
        self._streams = streams

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request. Raises errors of httpx2 only."""
        # An endless stream for what a server says unasked: nobody here would act on it.
        listens = request.method == "GET" and "text/event-stream" in request.headers.get("accept", "")
        if listens and not self._streams and "last-event-id" not in request.headers:
            return httpx2.Response(405)

        # A small compressed body can grow to gigabytes.
        request.headers["accept-encoding"] = "identity"
        try:
            if request.method == "DELETE":
                async with asyncio.timeout(END_TIMEOUT_S):
                    response = await self._inner.handle_async_request(request)
            else:
                response = await self._inner.handle_async_request(request)
        except DialRefused as error:
            self._faults.note(
                AddressRefused(
                    f"This address may not be reached: {error.reason}.",
                    hint="Servers are reached like pages: on the public internet, or where "
                    "CODEWORDS_EGRESS_ALLOW_PRIVATE allows it.",
                )
            )
            raise httpx2.ConnectError(error.reason) from None
        except (Unreachable, TimeoutError) as error:
            raise httpx2.ConnectError(str(error)) from None

        self._judge(request, response)
        limit = MAX_STREAM_BYTES if listens and self._streams else MAX_BYTES
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Bounded(response, limit, self._faults),
            request=request,
        )

    def _judge(self, request: httpx2.Request, response: httpx2.Response) -> None:
        status = response.status_code
        if status >= 300:
            self._faults.status = status
        # Where one signs in answers too, and its answers say nothing of the server's.
        if status < 300 and request.url == self._url:
            self._faults.unauthorized = False
        if status == 401 and request.url == self._url:
            self._faults.unauthorized = True
            self._faults.sign_in |= "resource_metadata" in response.headers.get("www-authenticate", "")
        # By the protocol, 404 for a request of a session says that the session is gone.
        if status == 404 and "mcp-session-id" in request.headers:
            self._faults.lost = True
        if 300 <= status < 400 and _leaves(request.url, response.headers.get("location", "")):
            self._faults.note(
                UpstreamFailed(
                    "The server redirects to another address, which was not followed.",
                    upstream_status=status,
                    hint="Connect the address that it really has.",
                )
            )
        if response.headers.get("content-encoding", "").strip().lower() not in _PLAIN:
            error = UpstreamFailed("The server's response is compressed in a way that was not requested.")
            self._faults.note(error)
            raise BodyRefused(error.message)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def _leaves(url: httpx2.URL, location: str) -> bool:
    """Whether a redirect leads to another origin; those within one are followed."""
    try:
        target = url.join(location)
    except httpx2.InvalidURL:
        return True
    return (target.scheme, target.host, target.port) != (url.scheme, url.host, url.port)


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, response: httpx2.Response, limit: int, faults: SessionFaults) -> None:
        self._response = response
        self._limit = limit
        self._faults = faults

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._response.aiter_raw():
            size += len(chunk)
            if size > self._limit:
                error = UpstreamFailed(
                    f"The server's response is larger than {self._limit >> 20} MiB, which is the limit.",
                    hint="Ask for less of it.",
                )
                self._faults.note(error)
                raise BodyRefused(error.message)
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()
