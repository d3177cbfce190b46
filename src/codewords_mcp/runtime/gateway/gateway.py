"""The gateway of a home: a call's route, key and origin, the call itself, and its answer passed on as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from codewords_mcp.errors import ProviderUnavailable
from codewords_mcp.runtime.gateway import headers, uploads
from codewords_mcp.runtime.gateway.asked import Asked, read_request
from codewords_mcp.runtime.gateway.budgets import Budgets
from codewords_mcp.runtime.gateway.exchange import Exchange
from codewords_mcp.runtime.gateway.keys import TITLES, ProviderKeys
from codewords_mcp.runtime.gateway.ledger import Ledger
from codewords_mcp.runtime.gateway.lineage import Lineage
from codewords_mcp.runtime.gateway.meter import Meter
from codewords_mcp.runtime.gateway.prices import Prices
from codewords_mcp.runtime.gateway.providers import base_urls, find_route
from codewords_mcp.runtime.gateway.rates import Rates
from codewords_mcp.runtime.gateway.upstream import Upstream
from codewords_mcp.runtime.models import Caller, ProviderReply, ProviderRequest
from codewords_mcp.runtime.secrets.access import SecretBook
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.settings import Settings

if TYPE_CHECKING:
    from aiohttp import ClientResponse

PIECE = 256 << 10
"""Bytes handed to a connection at once: more would hold up everybody else."""
_UPLOAD_URL, _CONTROL_URL = b"x-goog-upload-url", b"x-goog-upload-control-url"


class Gateway:
    """The gateway of one home. All methods are for the event loop of the runtime."""

    def __init__(self, secrets: SecretBook, database: Database, settings: Settings) -> None:
        self.keys = ProviderKeys(secrets)
        self.lineage = Lineage()
        self.ledger = Ledger(database)
        self.prices = Prices(settings.model_prices, settings.model_aliases)
        self.budgets = Budgets(database, self.ledger, settings.budgets)
        self.lineage.on_end = self.budgets.forget_run
        self._meter = Meter(self.prices, self.ledger, self.budgets)
        self._bases = base_urls(settings)
        self._upstream = Upstream(
            connect_timeout=settings.provider_connect_timeout, read_timeout=settings.provider_timeout
        )
        self._rates = Rates(settings.provider_rates)
        self._tickets = uploads.UploadTickets()
        self._warmed = False

    async def ask(self, request: ProviderRequest) -> ProviderReply:
        """Call the provider. Cancelling the awaiting task, or closing the reply early, aborts the call.

        Raises NotFound for a path that is none, ServiceNotAvailable without a key, BudgetExceeded, UnpricedModel,
        TooBusy where a rate limit makes it wait too long, ProviderUnavailable, ProviderTimedOut, and whatever the body of
        the request raises.
        """
        route = find_route(request.provider, request.method, request.path, run_mount=request.run_mount)
        key = await self.keys.find(request.caller.owner, route.provider)
        if not self._warmed:
            await asyncio.to_thread(_warm)
            self._warmed = True
        asked = None
        if route.kind == "metered":
            asked = read_request(route, b"".join([chunk async for chunk in request.body]))
        call = Exchange(route, self.lineage.origin(request.caller), asked, self._meter)
        if route.kind != "free":
            await self._rates.enter(route.provider, f"{call.origin.owner}/{call.origin.key_id}")
        await self._meter.reserve(call)
        try:
            answer = await self._send(request, call, key)
            call.begun(answer)
            self._rates.told(route.provider, answer.status, answer.headers.get("retry-after"))
            kept = self._headers(request, call, answer)
            return ProviderReply(answer.status, kept, call.relay(), call.close, lambda: call.used)
        except BaseException as error:
            if isinstance(error, ProviderUnavailable) and not error.reached:
                call.sent = False
            await call.close()
            raise

    def upload_caller(self, query: bytes) -> Caller:
        """Who began the upload whose ticket is in this query. Raises Unauthenticated."""
        return self._tickets.caller(uploads.ticket_in(query) or "")

    async def close(self) -> None:
        """End every connection to a provider and write what is not written yet."""
        await self._upstream.close()
        self.ledger.flush()

    async def _send(self, request: ProviderRequest, call: Exchange, key: str) -> ClientResponse:
        route, sent = call.route, headers.to_provider(request.headers, call.route, key)
        body: bytes | AsyncIterator[bytes] | None = request.body
        if call.asked is not None:
            body = _measured(call.asked, sent, telling=call.strip)
        elif request.length == 0 or (request.length is None and not _is_chunked(request)):
            body = None
        url = self._bases[route.provider] + route.path
        query = uploads.without_ticket(headers.without_key(request.query))
        if query:
            url += "?" + query.decode("latin-1")
        call.sent = True
        return await self._upstream.request(TITLES[route.provider], request.method, url, sent, body)

    def _headers(self, request: ProviderRequest, call: Exchange, answer: ClientResponse) -> headers.Headers:
        kept = headers.to_caller(answer.raw_headers, edited=call.strip)
        if request.provider != "gemini" or not any(name == _UPLOAD_URL for name, _ in kept):
            return kept
        ticket = self._tickets.issue(request.caller)
        return [
            (name, uploads.led_back(value, request.here, ticket) if name == _UPLOAD_URL else value)
            for name, value in kept
            if name != _CONTROL_URL
        ]


def _warm() -> None:
    """Import what calls need, in a thread: together it takes half a second."""
    import aiohttp  # noqa: F401  # pyright: ignore[reportUnusedImport]
    from genai_prices.data_snapshot import get_snapshot

    get_snapshot()


def _is_chunked(request: ProviderRequest) -> bool:
    return any(name == b"transfer-encoding" for name, _ in request.headers)


def _measured(asked: Asked, sent: list[tuple[str, str]], *, telling: bool) -> bytes | AsyncIterator[bytes]:
    """The body, with its size among the headers."""
    body = asked.telling() if telling else asked.body
    sent[:] = [pair for pair in sent if pair[0] != "content-length"]
    sent.append(("content-length", str(len(body))))
    return body if len(body) <= PIECE else _in_pieces(body)


async def _in_pieces(whole: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(whole), PIECE):
        yield whole[at : at + PIECE]
