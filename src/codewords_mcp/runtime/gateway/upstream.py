"""Requests to providers: their addresses, the request's head, and connection failures as our
errors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from codewords_mcp.common.http1 import ConnectionBrokenError, Headers
from codewords_mcp.runtime.gateway.connecting import authorization_of
from codewords_mcp.runtime.gateway.connection_pool import Pool, ProviderResponse
from codewords_mcp.runtime.gateway.http_connection import Endpoint, PhaseTimeouts
from codewords_mcp.runtime.model.model_errors import ProviderTimedOut, ProviderUnavailable

_NO_BODY = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


class Base:
    """A provider's address, parsed once."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)

        if proxy_bypass(host):
            proxy = ""
        else:
            proxy = getproxies().get(parts.scheme, "")

        self.endpoint = Endpoint(host, port, secure, proxy)
        self.host = parts.netloc.rpartition("@")[2].encode("latin-1")
        self.prefix = parts.path.rstrip("/")
        self.proxy_header = b""

        # A proxy for plain HTTP gets the absolute URL (RFC 9112, 3.2.2).
        if proxy and not secure:
            self.prefix = f"http://{self.host.decode('latin-1')}{self.prefix}"
            if authorization := authorization_of(proxy):
                self.proxy_header = b"proxy-authorization: " + authorization + b"\r\n"


class Upstream:
    """Connections to providers. For one event loop; `close` ends the remaining ones."""

    def __init__(self, timeouts: PhaseTimeouts) -> None:
        self._pool = Pool(timeouts)
        self._bases: dict[str, Base] = {}

    async def request(
        self,
        title: str,
        method: str,
        url: tuple[str, str],
        headers: Headers,
        body: bytes | AsyncIterator[bytes] | None,
        length: int | None = None,
    ) -> ProviderResponse:
        """Send a request. Returns its response with status and headers; the body has not been read.

        `title` is the provider's name in errors. `url` is its address, and the path with the query.
        `headers` exclude the body's size; `length` gives it for a streamed body, if known. Raises
        ProviderUnavailable, ProviderTimedOut, and whatever `body` raises.
        """
        base = self._bases.get(url[0])
        if base is None:
            base = self._bases[url[0]] = Base(url[0])
        if isinstance(body, bytes):
            size = len(body)
        else:
            size = length

        head = _head(base, method, url[1], headers, size, has_body=body is not None)
        try:
            return await self._pool.request(
                base.endpoint, head, body, chunked=body is not None and size is None
            )
        except OSError as error:
            raise provider_error(title, error) from error

    async def close(self) -> None:
        """Close every connection."""
        self._pool.close()


def _head(
    base: Base, method: str, target: str, headers: Headers, size: int | None, *, has_body: bool
) -> bytes:
    lines = [f"{method} {base.prefix}{target} HTTP/1.1".encode("latin-1"), b"host: " + base.host]
    lines += [name + b": " + value for name, value in headers]
    if has_body:
        lines.append(b"transfer-encoding: chunked" if size is None else b"content-length: %d" % size)
    elif method not in _NO_BODY:
        # Some servers refuse a request without a length.
        lines.append(b"content-length: 0")
    return b"\r\n".join(lines) + b"\r\n" + base.proxy_header + b"\r\n"


def provider_error(title: str, error: Exception) -> ProviderTimedOut | ProviderUnavailable:
    """Convert a failed connection to a provider."""
    # The failure's text has addresses, so it is left out.
    if isinstance(error, TimeoutError):
        return ProviderTimedOut(
            f"{title} did not respond in time.",
            hint="Try again; CODEWORDS_PROVIDER_TIMEOUT and CODEWORDS_PROVIDER_CHUNK_TIMEOUT are how long the runtime waits.",
        )
    if isinstance(error, ConnectionBrokenError):
        return ProviderUnavailable(f"The connection to {title} broke off.", hint="Try again.")

    unreachable = ProviderUnavailable(
        f"{title} could not be reached.", hint="Check this machine's network, then try again."
    )
    unreachable.reached = False
    return unreachable
