"""The wire to providers: one pool of connections for the home, and their failures in our words.

aiohttp, since the same pass-through costs five to eight times the CPU with httpx or httpx2; imported at the first call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from codewords_mcp.errors import ProviderTimedOut, ProviderUnavailable

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

KEEP_ALIVE = 20.0
"""Seconds that an unused connection is kept: less than providers do, so that it is rarely closed under a request."""
_MAX_HEADER = 64 << 10


class Upstream:
    """Connections to providers. Open it on the event loop that uses it; `close` ends what is left."""

    def __init__(self, *, connect_timeout: float, read_timeout: float) -> None:
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._session: ClientSession | None = None
        self._proxies: dict[str, str | None] = {}

    async def request(
        self,
        title: str,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes | AsyncIterator[bytes] | None,
    ) -> ClientResponse:
        """The answer's status and headers; its body has not been read. `title` is the provider's name in errors.

        Raises ProviderUnavailable, ProviderTimedOut.
        """
        from yarl import URL

        session = self._session or self._open()
        with translated(title):
            return await session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
                proxy=self._proxy(url),
            )

    def _open(self) -> ClientSession:
        import aiohttp

        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._connect_timeout, sock_read=self._read_timeout
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE, ttl_dns_cache=60),
            timeout=timeout,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            max_line_size=_MAX_HEADER,
            max_field_size=_MAX_HEADER,
        )
        return self._session

    def _proxy(self, url: str) -> str | None:
        """The proxy that the runtime's environment names for this host; looked up once, since it is slow."""
        scheme, host = urlsplit(url)[:2]
        if host not in self._proxies:
            bypassed = proxy_bypass(urlsplit(url).hostname or "")
            self._proxies[host] = None if bypassed else getproxies().get(scheme)
        return self._proxies[host]

    async def close(self) -> None:
        """End every connection."""
        if self._session is not None:
            await self._session.close()


@contextmanager
def translated(title: str) -> Generator[None]:
    """aiohttp's failures as ours; nothing of their text, which holds addresses, is passed on."""
    import aiohttp

    try:
        yield
    except TimeoutError as error:
        raise ProviderTimedOut(
            f"{title} did not answer in time.",
            hint="Try again; CODEWORDS_PROVIDER_TIMEOUT is how long the runtime waits for each piece of an answer.",
        ) from error
    except aiohttp.ClientConnectorError as error:
        unreachable = ProviderUnavailable(
            f"{title} could not be reached.", hint="Check this machine's network, then try again."
        )
        unreachable.reached = False
        raise unreachable from error
    except aiohttp.ClientError as error:
        raise ProviderUnavailable(f"The connection to {title} broke off.", hint="Try again.") from error


async def chunks(title: str, answer: Any) -> AsyncIterator[bytes]:
    """The body as it comes. Raises ProviderUnavailable where it ends before its end, ProviderTimedOut."""
    with translated(title):
        async for chunk in answer.content.iter_any():
            yield chunk
