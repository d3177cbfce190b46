"""Asynchronous client of a runtime that may be restarted meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from codewords_mcp.cli._client import (
    QUICK,
    SLOW,
    Json,
    RemoteError,
    RuntimeEndpoint,
    decode,
    remote_error,
    translated,
    without_none,
)
from codewords_mcp.cli._connect import endpoint
from codewords_mcp.errors import RuntimeUnavailable

if TYPE_CHECKING:
    import httpx2

Headers = list[tuple[bytes, bytes]]


class RuntimeConnection:
    """A connection to the runtime of the commands. Every method raises `CodewordsError` subclasses only."""

    def __init__(self, runtime: RuntimeEndpoint) -> None:
        self.endpoint = runtime
        self._http = _client(runtime)
        self._finding = asyncio.Lock()

    async def find_again(self) -> None:
        """Find the runtime anew, after it did not answer; the home's is started where none runs."""
        lost = self.endpoint
        async with self._finding:
            # Another request that lost it too may have found it.
            if self.endpoint is not lost:
                return
            found = await asyncio.to_thread(endpoint, tell=False)
            await self._http.aclose()
            self._http = _client(found)
            # Also where it has the same address: the drafts that it served are not served by a new process.
            self.endpoint = RuntimeEndpoint(found.url, found.key)

    async def close(self) -> None:
        """Hang up everywhere."""
        await self._http.aclose()

    async def call(
        self, method: str, path: str, *, body: Any = None, params: Json | None = None, quiet: float = QUICK
    ) -> Json:
        """Make a request. Returns the JSON object of its answer, empty without a body. `quiet`: seconds between bytes."""
        with translated(self.endpoint.url):
            response = await self._http.request(
                method, path, json=body, params=without_none(params), timeout=quiet
            )
        if response.is_error:
            raise remote_error(response.status_code, response.content)
        if not response.content:
            return {}
        return cast("Json", decode(response.content))

    async def call_with_progress(
        self, method: str, path: str, body: Any, report: Callable[[str], None]
    ) -> Json:
        """Make a request and follow its progress lines; returns its result."""
        async for item in self.lines(method, path, body=body, quiet=SLOW):
            if "progress" in item:
                report(str(item["progress"].get("message") or ""))
            elif "error" in item:
                raise RemoteError(int(item.get("status") or 0), item["error"])
            else:
                return cast("Json", item.get("result", item))
        raise RuntimeUnavailable(
            "The runtime ended its answer before the result.", hint="Save the file again."
        )

    async def lines(
        self, method: str, path: str, *, body: Any = None, params: Json | None = None, quiet: float = QUICK
    ) -> AsyncIterator[Json]:
        """The JSON objects of an NDJSON answer as they come."""
        headers = {"Accept": "application/x-ndjson"}
        with translated(self.endpoint.url):
            async with self._http.stream(
                method, path, json=body, params=without_none(params), headers=headers, timeout=quiet
            ) as response:
                if response.is_error:
                    raise remote_error(response.status_code, await response.aread())
                async for text in response.aiter_lines():
                    if text.strip():
                        yield cast("Json", decode(text.encode()))

    @asynccontextmanager
    async def stream(
        self, method: str, target: str, *, content: bytes, headers: Headers
    ) -> AsyncGenerator[httpx2.Response]:
        """An answer whose body the caller reads, without a limit of its time; leaving early hangs up."""
        with translated(self.endpoint.url):
            async with self._http.stream(
                method, target, content=content or None, headers=headers, timeout=None
            ) as response:
                yield response


def _client(runtime: RuntimeEndpoint) -> httpx2.AsyncClient:
    import httpx2

    return httpx2.AsyncClient(
        base_url=runtime.url,
        headers=runtime.headers,
        timeout=httpx2.Timeout(QUICK, connect=10),
        # A page that many files or tabs use at once; the runtime has limits of its own.
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
        trust_env=False,
    )
