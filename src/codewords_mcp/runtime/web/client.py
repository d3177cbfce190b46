"""HTTP client of all library services: for addresses from users, and for APIs from the settings.

`fetch` is limited like a sandbox. Each name is resolved and judged by the egress policy, exactly
the judged addresses are dialled, and each redirect is judged again. `api` calls a base address of
the settings, which may be private, and follows redirects on that origin only. Both limit time and
bytes, after decompression.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from codewords_mcp.bounded_json import parse
from codewords_mcp.errors import AddressRefused, InvalidInput, UpstreamFailed, UpstreamTimedOut
from codewords_mcp.runtime.egress import EgressPolicy
from codewords_mcp.runtime.egress.addresses import parse_address
from codewords_mcp.runtime.egress.dial import (
    Dialler,
    DialRefused,
    Resolve,
    Share,
    Unreachable,
    system_resolve,
)
from codewords_mcp.runtime.egress.names import normal_host

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from yarl import URL

MAX_BYTES = 10 << 20
"""Bytes of a response, after decompression."""
TIMEOUT = 30.0
"""Seconds for a whole exchange, redirects included."""
MAX_REDIRECTS = 10
MAX_URL = 8192
CONNECT_TIMEOUT = 10.0
LOOKUPS = 8
"""Concurrent name lookups for all callers."""
USER_AGENT = "codewords-mcp (+https://pypi.org/project/codewords-mcp/)"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CREDENTIALS = frozenset({"authorization", "cookie", "x-api-key"})


@dataclass(frozen=True, slots=True)
class WebResponse:
    """A complete response. `headers` have lower-case names; `url` is the final address."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    def json(self) -> Any:
        """The body as JSON. Raises UpstreamFailed."""
        try:
            return parse(self.body)
        except (ValueError, RecursionError):
            raise UpstreamFailed(
                "The called service did not respond with JSON.",
                upstream_status=self.status,
                hint="Try again later.",
            ) from None


M = TypeVar("M", bound=BaseModel)


def retry_after(response: WebResponse, usual: int = 30) -> int:
    """Seconds until an API may be called again, by its header; at most an hour."""
    seconds = response.headers.get("retry-after", "")
    if seconds.isascii() and seconds.isdigit():
        return max(1, min(int(seconds), 3600))
    return usual


def error_text(response: WebResponse, field: str) -> str:
    """An API's own error text: data, bounded, never part of our message."""
    try:
        text = parse(response.body)[field]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return "".join(letter for letter in str(text) if letter.isprintable())[:500]


def read_response(model: type[M], response: WebResponse) -> M:
    """An API's response as a model. Raises UpstreamFailed if it does not fit."""
    try:
        return model.model_validate(response.json())
    except ValidationError:
        raise UpstreamFailed(
            "The called service responded in an unexpected format.",
            upstream_status=response.status,
        ) from None


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
        self._apis: ClientSession | None = None

    async def close(self) -> None:
        """Close every connection."""
        self._dialler.close()
        if self._apis is not None:
            await self._apis.close()

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        content: Any = None,
        policy: EgressPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
        seconds: float = TIMEOUT,
    ) -> WebResponse:
        """Request an address that a caller gave, whatever its status.

        Text `content` is sent as it is, other as JSON.

        Raises InvalidInput for an invalid http(s) address, AddressRefused, UpstreamFailed,
        UpstreamTimedOut.
        """
        from aiohttp import ClientSession, TCPConnector

        from codewords_mcp.runtime.web.resolver import JudgingResolver

        judge = policy or self.policy
        resolver = JudgingResolver(self._dialler, judge, self._share)

        async with (
            _bounded(seconds),
            ClientSession(
                connector=TCPConnector(
                    resolver=resolver,
                    use_dns_cache=False,
                    force_close=True,
                    socket_factory=resolver.make_socket,
                ),
                auto_decompress=False,
            ) as session,
        ):
            target, sent = _address(url), dict(headers or {})
            data = _content(content, sent)
            for _ in range(MAX_REDIRECTS + 1):
                if parse_address(target.raw_host or "") is not None:  # these never come to the resolver
                    await resolver.judge(target.raw_host or "", target.port or 80)
                response, onward = await _exchange(session, method, target, sent, max_bytes, data)
                if onward is None:
                    return response

                if response.status in {301, 302, 303} and method != "HEAD":
                    method, data = "GET", None
                if onward.origin() != target.origin():
                    sent = {name: value for name, value in sent.items() if name.lower() not in _CREDENTIALS}
                target = onward

        raise UpstreamFailed(
            f"The page redirects more than {MAX_REDIRECTS} times.", hint="Give the final address."
        )

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
        """Call an API at an address of the settings; `content` is sent as JSON, `form` as a form.

        Raises UpstreamFailed, UpstreamTimedOut.
        """
        from aiohttp import FormData

        target = _address(base.rstrip("/") + path)
        if params:
            target = target.update_query(dict(params))
        data: Any = None
        sent = {"accept": "application/json"} | dict(headers or {})
        if content is not None:
            data, sent["content-type"] = json.dumps(content).encode(), "application/json"
        elif form is not None:
            data = FormData(dict(form))

        origin, status = target.origin(), 0
        async with _bounded(seconds):
            for _ in range(MAX_REDIRECTS + 1):
                response, onward = await _exchange(self._session(), method, target, sent, max_bytes, data)
                if onward is None:
                    return response

                status = response.status
                if onward.origin() != origin:
                    break

                if status == 303:
                    method, data = "GET", None
                target = onward

        raise UpstreamFailed("The called service redirects to another address.", upstream_status=status)

    async def check(self, url: str, policy: EgressPolicy | None = None) -> None:
        """Judge an address without a request. Raises as `fetch`."""
        target = _address(url)
        await self._permitted(target, policy or self.policy)

    def _session(self) -> ClientSession:
        from aiohttp import ClientSession

        if self._apis is None:
            self._apis = ClientSession(auto_decompress=False)
        return self._apis

    async def _permitted(self, target: URL, policy: EgressPolicy) -> None:
        host = normal_host(target.raw_host or "")
        try:
            await self._dialler.permitted(policy, host or "", target.port or 80, self._share)
        except (DialRefused, Unreachable) as error:
            raise _failure(error) from None


def _content(content: Any, headers: dict[str, str]) -> bytes | None:
    if content is None:
        return None
    if isinstance(content, str):
        return content.encode()
    if "content-type" not in {name.lower() for name in headers}:
        headers["content-type"] = "application/json"
    return json.dumps(content).encode()


def _address(url: str) -> URL:
    from yarl import URL

    try:
        target = URL(url.strip())
        port = target.port
    except ValueError:
        target, port = URL(), None

    if (
        len(url) > MAX_URL
        or target.scheme not in {"http", "https"}
        or not port
        or normal_host(target.raw_host or "") is None
    ):
        raise InvalidInput(
            "That is not the address of a web page.", hint="Give an http:// or https:// address, whole."
        )
    if target.user is not None or target.password is not None:
        raise InvalidInput(
            "Addresses with a user name are not accepted.", hint="Give the address without it."
        )

    host = normal_host(target.raw_host or "") or ""
    if parse_address(host) is not None and host != target.raw_host:
        # 127.1 and the like are normalized, so that the judged address is the dialled one.
        target = target.with_host(host)
    return target.with_fragment(None)


@asynccontextmanager
async def _bounded(seconds: float) -> AsyncGenerator[None]:
    """Limit a block's time and translate its network errors."""
    from aiohttp import ClientError

    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise UpstreamTimedOut(
            f"The response was not complete within {seconds:g} s.", hint="Try again later."
        ) from error
    except (DialRefused, Unreachable) as error:
        raise _failure(error) from None
    except (ClientError, OSError) as error:
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


async def _exchange(
    session: ClientSession,
    method: str,
    target: URL,
    headers: Mapping[str, str],
    max_bytes: int,
    data: Any = None,
) -> tuple[WebResponse, URL | None]:
    """(the response, the redirect's target). The body of a redirect is not read."""
    sent = {"User-Agent": USER_AGENT} | dict(headers) | {"Accept-Encoding": "gzip, deflate"}
    async with session.request(method, target, headers=sent, data=data, allow_redirects=False) as upstream:
        received = {name.lower(): value for name, value in upstream.headers.items()}
        onward = _onward(target, upstream.status, received)
        if onward is not None:
            body = b""
        else:
            body = await _body(upstream, max_bytes)
        return WebResponse(upstream.status, received, body, str(target)), onward


def _onward(target: URL, status: int, headers: Mapping[str, str]) -> URL | None:
    from yarl import URL

    if status not in _REDIRECTS or not headers.get("location"):
        return None
    try:
        return _address(str(target.join(URL(headers["location"]))))
    except (ValueError, InvalidInput):
        raise UpstreamFailed(
            "The page redirects to something that is not a web address.", upstream_status=status
        ) from None


async def _body(response: ClientResponse, max_bytes: int) -> bytes:
    declared = response.content_length
    if declared is not None and declared > max_bytes:
        raise _too_large(max_bytes)
    inflate = _inflater(response.headers.get("content-encoding", ""))
    body = bytearray()
    async for piece in response.content.iter_any():
        body += inflate.feed(piece, max_bytes - len(body)) if inflate else piece
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


def _too_large(max_bytes: int) -> UpstreamFailed:
    return UpstreamFailed(
        f"The response is larger than {max_bytes >> 20} MiB, which is the limit.", hint="Ask for less of it."
    )


class _Inflater:
    """Decompresses up to a limit: a small response cannot become an arbitrarily large one."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._engine = zlib.decompressobj(bits)
        self._started = False

    def feed(self, piece: bytes, max_bytes: int) -> bytes:
        """Decompress to at most one byte over `max_bytes`. Raises UpstreamFailed."""
        try:
            if not self._started and self._bits == zlib.MAX_WBITS and piece[:1] and piece[0] & 0x0F != 8:
                self._engine = zlib.decompressobj(-zlib.MAX_WBITS)  # "deflate" without its wrapper
            self._started = True
            return self._engine.decompress(piece, max_bytes + 1)
        except zlib.error:
            raise UpstreamFailed("The compressed response is damaged.") from None


def _inflater(encoding: str) -> _Inflater | None:
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return _Inflater(16 + zlib.MAX_WBITS)
        case "deflate":
            return _Inflater(zlib.MAX_WBITS)
        case _:
            raise UpstreamFailed("The response is compressed in a way that was not requested.")
