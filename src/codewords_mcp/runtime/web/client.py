"""HTTP client of all library services: for addresses from users, and for APIs from the settings.

`fetch` is limited like a sandbox. Each name is resolved and judged by the egress policy, exactly
the judged addresses are dialled, and each redirect is judged again. `api` calls a base address of
the settings, which may be private, and follows redirects on that origin only. Both limit time and
bytes, after decompression.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from codewords_mcp.errors import AddressRefused, InvalidInput, UpstreamFailed, UpstreamTimedOut
from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.model.host_names import normal_host
from codewords_mcp.runtime.web.addresses import PORTS, normal_host_name, origin_of, parse_address
from codewords_mcp.runtime.web.dial import (
    Dialler,
    DialRefused,
    Resolve,
    Share,
    Unreachable,
    system_resolve,
)
from codewords_mcp.runtime.web.redirect_cookies import RedirectCookies
from codewords_mcp.runtime.web.responses import WebResponse, read_body

if TYPE_CHECKING:
    import httpx2

    from codewords_mcp.runtime.web.judged_transport import JudgedTransport

MAX_BYTES = 10 << 20
"""Bytes of a response, after decompression."""
TIMEOUT = 30.0
"""Seconds for a whole exchange, redirects included."""
MAX_REDIRECTS = 10
MAX_CONNECTIONS, KEEPALIVE_S = 100, 15.0
"""Of all APIs of the settings together; seconds that an idle one stays open."""
CONNECT_TIMEOUT = 10.0
LOOKUPS = 8
"""Concurrent name lookups for all callers."""
USER_AGENT = "codewords-mcp (+https://pypi.org/project/codewords-mcp/)"
_OWN_HEADERS = {"user-agent": USER_AGENT}
# Codings that `read_body` can limit.
_DEFAULT_HEADERS = {"accept": "*/*", "accept-encoding": "gzip, deflate"} | _OWN_HEADERS
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CREDENTIALS = frozenset({"authorization", "cookie", "x-api-key"})


class Web:
    """HTTP client for one event loop; `close` it.

    `policy` is the home's; a call may bring a narrower one.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        resolve: Resolve = system_resolve,
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        self.policy = policy
        self._dialler = Dialler(resolve, connect_timeout)
        self._share = Share(LOOKUPS)
        self._apis: httpx2.AsyncClient | None = None

    async def close(self) -> None:
        """Close every connection."""
        self._dialler.close()
        if self._apis is not None:
            await self._apis.aclose()

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        content: Any = None,
        policy: EgressPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
        max_redirects: int = MAX_REDIRECTS,
        seconds: float = TIMEOUT,
    ) -> WebResponse:
        """Request an address that a caller gave, whatever its status.

        Text `content` is sent as it is, other as JSON.

        Raises InvalidInput for an invalid http(s) address, AddressRefused, UpstreamFailed,
        UpstreamTimedOut.
        """
        target, request_headers = parse_address(url), _lower(headers)
        data = _content(content, request_headers)
        cookies = RedirectCookies()

        async with _bounded(seconds):
            for _ in range(max_redirects + 1):
                sent = cookies.header_for(target) | request_headers
                response, location, set_cookies = await self._exchange(
                    target, method, sent, data, policy or self.policy, max_bytes
                )
                if location is None:
                    return response

                # As browsers do (RFC 9110, 15.4).
                if response.status in {301, 302, 303} and method != "HEAD":
                    method, data = "GET", None
                # Another site must not get credentials that were meant for this one.
                if origin_of(location) != origin_of(target):
                    for name in _CREDENTIALS & request_headers.keys():
                        del request_headers[name]
                cookies.keep(target, set_cookies)
                target = location

        raise UpstreamFailed(
            f"The page redirects more than {max_redirects} times.", hint="Give the final address."
        )

    async def _exchange(
        self,
        target: httpx2.URL,
        method: str,
        headers: Mapping[str, str],
        data: bytes | None,
        policy: EgressPolicy,
        max_bytes: int,
    ) -> tuple[WebResponse, httpx2.URL | None, list[str]]:
        """Send a request to a judged address. Returns the response, and the target and cookies of a redirect."""
        from codewords_mcp.runtime.web.exchange import WebExchange

        port = target.port or PORTS[target.scheme]
        # The judged addresses are those that are connected to: a second look-up could give others.
        addresses = await self._dialler.permitted(policy, normal_host(target.host) or "", port, self._share)
        exchange = WebExchange(target, port, self._tls if target.scheme == "https" else None)
        try:
            await exchange.send(addresses, method, {**_DEFAULT_HEADERS, **headers}, data)
            location = _location(target, exchange.status, exchange.headers)
            body = b""
            if location is None:
                body = await read_body(exchange.headers, exchange.body(), max_bytes)
            response = WebResponse(exchange.status, exchange.headers, body, str(target))
            return response, location, exchange.set_cookies
        finally:
            exchange.close()

    async def api(
        self,
        base: str,
        path: str,
        *,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: Any = None,
        form: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
        seconds: float = TIMEOUT,
    ) -> WebResponse:
        """Call an API at an address of the settings; `content` is sent as JSON, bytes as they are, `form` as a form.

        Raises UpstreamFailed, UpstreamTimedOut.
        """
        import httpx2

        target = parse_address(base.rstrip("/") + path)
        if params:
            target = target.copy_merge_params(dict(params))
        request_headers = httpx2.Headers({"accept": "application/json"})
        request_headers.update(_encoded(headers))
        data = None
        if content is not None:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            request_headers["content-type"] = "application/json"

        origin, status, client = origin_of(target), 0, self._api_client()
        async with _bounded(seconds):
            for _ in range(MAX_REDIRECTS + 1):
                request = client.build_request(
                    method, target, headers=request_headers, content=data, data=form
                )
                response, location = await _exchange(client, request, max_bytes)
                if location is None:
                    return response

                status = response.status
                # The key goes with every request, so none may leave the origin.
                if origin_of(location) != origin:
                    break

                if status == 303:
                    method, data, form = "GET", None, None
                target = location

        raise UpstreamFailed("The called service redirects to another address.", upstream_status=status)

    async def open_stream(
        self,
        host: str,
        port: int,
        *,
        tls: bool = True,
        limit: int = 1 << 16,
        policy: EgressPolicy | None = None,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a host that a caller gave, for another protocol than HTTP. `limit`: bytes of a line.

        Raises InvalidInput, AddressRefused, UpstreamFailed.
        """
        name = normal_host_name(host)
        try:
            dialled = await self._dialler.dial(policy or self.policy, name, port, self._share)
        except (DialRefused, Unreachable) as error:
            raise _failure(error) from None

        try:
            return await asyncio.open_connection(
                sock=dialled.sock,
                limit=limit,
                ssl=self._tls if tls else None,
                server_hostname=name if tls else None,
                ssl_handshake_timeout=CONNECT_TIMEOUT if tls else None,
            )
        # Also where the task is cancelled: asyncio closes no socket that was given to it.
        except BaseException as error:
            dialled.sock.close()
            if isinstance(error, OSError):
                raise _tls_failure(error) from error
            raise

    def transport(self, *, keepalive: int) -> JudgedTransport:
        """A transport of one caller, judged by the home's policy, that keeps connections open.

        It limits neither time nor bytes, and raises the errors of `JudgedTransport`.
        """
        from codewords_mcp.runtime.web.judged_transport import JudgedBackend, JudgedTransport

        backend = JudgedBackend(self._dialler, self.policy, self._share)
        return JudgedTransport(backend, self._tls, keepalive=keepalive)

    async def check(self, url: str, policy: EgressPolicy | None = None) -> None:
        """Judge an address without a request. Raises as `fetch`."""
        target = parse_address(url)
        await self._permitted(target, policy or self.policy)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Once: loading the certificates takes milliseconds.
        return ssl.create_default_context()

    def _api_client(self) -> httpx2.AsyncClient:
        """The client of all callers: it keeps connections, and no cookies."""
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        import httpx2

        if self._apis is None:
            self._apis = httpx2.AsyncClient(
                verify=self._tls,
                limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_S),
                # Callers of all owners share the client.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                headers=_OWN_HEADERS,
                timeout=None,
                trust_env=False,
            )
        return self._apis

    async def _permitted(self, target: httpx2.URL, policy: EgressPolicy) -> None:
        port = target.port or PORTS[target.scheme]
        try:
            await self._dialler.permitted(policy, normal_host(target.host) or "", port, self._share)
        except (DialRefused, Unreachable) as error:
            raise _failure(error) from None


def _encoded(headers: Mapping[str, str] | None) -> list[tuple[bytes, bytes]]:
    """Headers in UTF-8."""
    # httpx2 refuses text beyond ASCII.
    return [(name.encode(), value.encode()) for name, value in (headers or {}).items()]


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}


def _content(content: Any, headers: dict[str, str]) -> bytes | None:
    if content is None:
        return None
    if isinstance(content, str):
        headers.setdefault("content-type", "application/octet-stream")
        return content.encode()
    headers.setdefault("content-type", "application/json")
    return json.dumps(content).encode()


@asynccontextmanager
async def _bounded(seconds: float) -> AsyncGenerator[None]:
    """Limit a block's time and translate its network errors."""
    import httpcore2
    import httpx2

    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        # Before OSError, of which it is a kind.
        raise UpstreamTimedOut(
            f"The response was not complete within {seconds:g} s.", hint="Try again later."
        ) from error
    except (DialRefused, Unreachable) as error:
        raise _failure(error) from None
    except (
        httpx2.HTTPError, httpcore2.NetworkError, httpcore2.ProtocolError,
        httpcore2.TimeoutException, OSError,
    ) as error:  # fmt: skip
        raise UpstreamFailed(
            "The called service could not be reached, or the connection broke off.",
            hint="Check the address, or try again later.",
        ) from error


def _failure(error: DialRefused | Unreachable) -> AddressRefused | UpstreamFailed:
    if isinstance(error, DialRefused):
        return AddressRefused(
            f"This address may not be reached: {error.reason}.",
            hint="Services reach what workflows may: the public internet, or what CODEWORDS_EGRESS_ALLOW_PRIVATE lists.",
        )
    return UpstreamFailed(f"This address could not be reached: {error.reason}.", hint="Check the address.")


def _tls_failure(error: OSError) -> UpstreamFailed:
    if isinstance(error, ssl.SSLCertVerificationError):
        return UpstreamFailed(
            "The server's certificate is not valid for this host.", hint="Check the name of the host."
        )
    return UpstreamFailed(
        "The connection broke off while it was secured.", hint="Check the port, and that it speaks TLS."
    )


async def _exchange(
    client: httpx2.AsyncClient, request: httpx2.Request, max_bytes: int
) -> tuple[WebResponse, httpx2.URL | None]:
    """Send a request. Returns the response and the redirect's target, whose body is not read."""
    # Those that `read_body` can limit.
    request.headers["accept-encoding"] = "gzip, deflate"
    upstream = await client.send(request, stream=True, follow_redirects=False)
    try:
        received = dict(upstream.headers.multi_items())
        location = _location(request.url, upstream.status_code, received)
        if location is None:
            body = await read_body(received, upstream.aiter_raw(), max_bytes)
        else:
            body = b""
        return WebResponse(upstream.status_code, received, body, str(request.url)), location
    finally:
        await upstream.aclose()


def _location(target: httpx2.URL, status: int, headers: Mapping[str, str]) -> httpx2.URL | None:
    if status not in _REDIRECTS or not headers.get("location"):
        return None
    try:
        return parse_address(urljoin(str(target), headers["location"]))
    except (ValueError, InvalidInput):
        raise UpstreamFailed(
            "The page redirects to something that is not a web address.", upstream_status=status
        ) from None
