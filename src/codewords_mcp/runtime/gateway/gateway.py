"""The gateway of a home: finds a call's route, key and attribution, makes the call and relays its
response.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from functools import partial

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.auth.api_keys import ApiKeys
from codewords_mcp.runtime.gateway import cache, headers, uploads
from codewords_mcp.runtime.gateway import recorded_calls as recorded
from codewords_mcp.runtime.gateway.attempts import Attempts
from codewords_mcp.runtime.gateway.attribution import CallChain
from codewords_mcp.runtime.gateway.budgets import BudgetLimit, Budgets
from codewords_mcp.runtime.gateway.canonical import canonical
from codewords_mcp.runtime.gateway.cloud_credentials import CloudCredentials, OutgoingRequest
from codewords_mcp.runtime.gateway.connection_pool import ProviderResponse
from codewords_mcp.runtime.gateway.error_verdicts import when_to_return
from codewords_mcp.runtime.gateway.exchange import ProviderCall
from codewords_mcp.runtime.gateway.health import Health
from codewords_mcp.runtime.gateway.http_connection import PhaseTimeouts
from codewords_mcp.runtime.gateway.keys import ProviderKey, ProviderKeys, title_of
from codewords_mcp.runtime.gateway.ledger import Ledger
from codewords_mcp.runtime.gateway.meter import CallMeter
from codewords_mcp.runtime.gateway.model_choice import ModelChoice, check_model
from codewords_mcp.runtime.gateway.named_providers import NamedProviders
from codewords_mcp.runtime.gateway.named_routes import locate, route_of
from codewords_mcp.runtime.gateway.prices import Prices
from codewords_mcp.runtime.gateway.providers import ProviderRoute, base_urls
from codewords_mcp.runtime.gateway.rate_limits import RateLimits
from codewords_mcp.runtime.gateway.reading import Reading
from codewords_mcp.runtime.gateway.realtime.sessions import RealtimeSessions
from codewords_mcp.runtime.gateway.request_facts import RequestFacts, read_request
from codewords_mcp.runtime.gateway.telemetry import Telemetry, open_telemetry
from codewords_mcp.runtime.gateway.upstream import Upstream
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.provider import CallUsage, GatewayResponse, Provider, ProviderRequest
from codewords_mcp.runtime.recording.recording_session import RecorderRegistry
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.settings import Settings

CHUNK_BYTES = 256 << 10
"""Bytes handed to a connection at once. A larger chunk would delay all other calls."""
PRICE_HEADER = b"x-codewords-price"
"""Header of a response: `unknown` where the model has no price, so that a budget would refuse it."""
_UPLOAD_URL, _CONTROL_URL = b"x-goog-upload-url", b"x-goog-upload-control-url"


class Gateway:
    """The gateway of one home. All methods run on the runtime's event loop."""

    def __init__(
        self,
        secrets: SecretService,
        keyring: ApiKeys,
        database: Database,
        settings: Settings,
        *,
        executor: str,
    ) -> None:
        self.recorders = RecorderRegistry()
        self.keys = ProviderKeys(secrets)
        self.call_chain = CallChain(self._run_ended, self.prepare)
        self.ledger = Ledger(database)
        self.named = NamedProviders(settings.providers)
        self.prices = Prices(settings.model_prices, settings.model_aliases, self.named)
        self.budgets = Budgets(database, self.ledger, settings.budgets, executor=executor)
        self._meter = CallMeter(self.prices, self.ledger, self.budgets, database.measures)
        self._models = ModelChoice(keyring, settings.model_fallbacks)
        self.bases = base_urls(settings) | {provider.name: provider.base_url for provider in self.named}
        self._upstream = Upstream(
            PhaseTimeouts(
                settings.provider_connect_timeout,
                settings.provider_timeout,
                settings.provider_chunk_timeout,
                settings.provider_whole_timeout,
            )
        )
        self.health = Health()
        self._attempts = Attempts(self.health, settings.provider_retries)
        self._cloud = CloudCredentials()
        self._cache = cache.Cache()
        self._rates = RateLimits(settings.provider_rates, settings.key_rates, self.bases)
        self._tickets = uploads.UploadTickets()
        self.realtime = RealtimeSessions(
            named=self.named,
            bases=self.bases,
            keys=self.keys,
            models=self._models,
            meter=self._meter,
            prices=self.prices,
            health=self.health,
            rates=self._rates,
            cloud=self._cloud,
            call_chain=self.call_chain,
            recorders=self.recorders,
            telemetry=self.telemetry,
            connect_timeout=settings.provider_connect_timeout,
        )
        self._warming: asyncio.Task[Telemetry | None] | None = None
        self._telemetry: Telemetry | None = None

    def _run_ended(self, run_id: str) -> None:
        self.budgets.forget_run(run_id)
        self._tickets.forget_run(run_id)

    async def locate(self, request: ProviderRequest) -> ProviderRequest:
        """The request as it is to be sent: one that names a provider in its model goes to that.

        Raises NotFound for an unknown provider, and whatever the body of the request raises.
        """
        return await locate(request, self.named)

    async def send(self, request: ProviderRequest) -> GatewayResponse:
        """Send a request that was located, unless the recorder of the caller's run answers it.

        See `_call_provider` for errors.

        Raises Conflict if the recorder blocks the call.
        """
        # The first test is cheap and enough for most calls; a ticket may occur in the text of
        # another field.
        if uploads.TICKET in request.query and uploads.ticket_in(request.query) is not None:
            with self._tickets.part(request.query, request.headers) as statuses:
                reply = await self._recorded(request)
                statuses.append(reply.status)
            return reply
        return await self._recorded(request)

    def _recorded(self, request: ProviderRequest) -> Awaitable[GatewayResponse]:
        session = self.recorders.of(request.caller.run_id)
        if session is None:
            return self._call_provider(request)
        return recorded.answer_or_record(request, session, self.bases, self._call_provider)

    async def _call_provider(self, request: ProviderRequest) -> GatewayResponse:
        """Call the provider.

        Cancelling the awaiting task, or closing the reply early, aborts the call.

        Raises NotFound for an invalid path, ServiceNotAvailable without a key, ModelNotAllowed,
        BudgetExceeded, UnpricedModel, TooBusy if a rate limit would delay it too long,
        ProviderUnavailable, ProviderTimedOut, and whatever the body of the request raises.
        """
        route = route_of(request)
        named = self.named.find(route.provider) if request.named else None
        keys = await self.keys.find(
            request.caller.owner, route.provider, needed=named is None or named.needs_key
        )
        if self._warming is None or not self._warming.done():
            await self._prepared()
        self._telemetry = self.prepare().result()
        facts = None
        if route.kind == "metered":
            content = request.content
            if content is None:
                content = b"".join([chunk async for chunk in request.body])
            facts = read_request(route, content, request.parsed)
        call, limits = await self._exchange(request, route, facts)
        if named is not None and named.reports_unasked:
            call.strip = False
        facts = call.facts
        lookup = facts and cache.cache_lookup(request.headers, request.query, call.origin, facts)
        if lookup and lookup.may_serve and (cached := self._cache.find(lookup.key)):
            return self._cached_reply(call, cached)

        try:
            await self._meter.reserve(call, limits)
            response = await self._attempt(request, call, keys)
            call.on_response(response)
            if response.status == 429 and (seconds := when_to_return(response, {})):
                self._rates.on_refused(route.provider, seconds)
            response_headers = self._headers(request, call, response)
            # A fallback's response must not stand for the requested model's.
            if lookup and not call.instead_of:
                call.on_complete = partial(self._store_response, call, lookup, response_headers)
                response_headers = [*response_headers, (cache.CACHE_HEADER, b"miss")]

            return GatewayResponse(
                response.status, response_headers, call.relay(), call.close, partial(_used_by, call)
            )
        except BaseException as error:
            # Ours have stable codes; of others the type must do.
            if isinstance(error, CodewordsError):
                call.failure = error.code
            else:
                call.failure = type(error).__name__

            await call.close()
            raise

    async def _exchange(
        self, request: ProviderRequest, route: ProviderRoute, facts: RequestFacts | None
    ) -> tuple[ProviderCall, list[BudgetLimit]]:
        """The call as it will be made, and the budgets that limit it.

        Raises ModelNotAllowed, InvalidInput.
        """
        origin = self.call_chain.origin(request.caller)
        fallbacks: tuple[RequestFacts, ...] = ()
        limits: list[BudgetLimit] = []

        if route.kind != "free":
            allowed, limits = await self._models.lists(origin), await self._meter.limits(origin)
            # Only where something is enforced: other calls pass byte for byte.
            if facts is not None and (allowed or limits):
                facts = canonical(facts, request.headers)
            if allowed:
                check_model(allowed, route, facts)
            if facts is not None and request.may_switch:
                fallbacks = self._models.fallback_requests(origin, allowed, facts)

        call = ProviderCall(route, origin, facts, self._meter, fallbacks)
        call.instead_of = request.instead_of
        if self._telemetry is not None:
            call.observer = self._telemetry.observe(request.headers, origin)
        return call, limits

    async def telemetry(self) -> Telemetry | None:
        """The exporters, None where nothing is exported."""
        return await self._prepared()

    async def _prepared(self) -> Telemetry | None:
        warming = self.prepare()
        if not warming.done():
            # A cancelled call must not end the imports that others wait for.
            await asyncio.shield(warming)
        return warming.result()

    def _store_response(
        self,
        call: ProviderCall,
        lookup: cache.CacheLookup,
        response_headers: headers.Headers,
        body: bytes,
        reading: Reading,
    ) -> None:
        self._cache.put(lookup.key, lookup.ttl, response_headers, body, reading.tokens or {}, call.model)

    def _cached_reply(self, call: ProviderCall, cached: cache.CachedResponse) -> GatewayResponse:
        """The reply with a cached response."""
        call.used = self._meter.record_cached(call, cached)
        if call.observer is not None:
            call.observer.on_end(call, Reading(cached.model, body=cached.body))
        response_headers = [
            *cached.headers,
            (b"content-length", b"%d" % len(cached.body)),
            (cache.CACHE_HEADER, b"hit"),
        ]
        return GatewayResponse(200, response_headers, cached.chunks(), _nothing, partial(_used_by, call))

    def prepare(self) -> asyncio.Task[Telemetry | None]:
        """Import the modules that calls need, in a thread.

        This takes half a second, which the first call need not wait for.
        """
        if self._warming is None:
            self._warming = asyncio.create_task(asyncio.to_thread(_imported, self.bases))
        return self._warming

    def fallbacks(self, caller: Caller, provider: Provider, model: str) -> list[tuple[Provider, str]]:
        """(provider, model) of each fallback for a model of this caller. Providers may differ."""
        origin = self.call_chain.origin(caller)
        return self._models.fallbacks(origin, provider, model)

    def upload_caller(self, path: str, query: bytes) -> Caller:
        """The caller that began the upload with this path and the ticket in this query.

        Raises Unauthenticated.
        """
        return self._tickets.caller(path, query)

    async def tidy(self) -> None:
        """Drop expired records."""
        await self.ledger.purge()
        await self.budgets.forget_past()

    async def close(self) -> None:
        """Close connections to providers, write pending sums, export pending telemetry."""
        await self._upstream.close()
        self.ledger.flush()
        if self._warming is not None and (telemetry := await self._warming):
            await asyncio.to_thread(telemetry.close)

    async def _attempt(
        self, request: ProviderRequest, call: ProviderCall, keys: list[ProviderKey]
    ) -> ProviderResponse:
        """The response to pass on, after attempts with any key."""
        body: AsyncIterator[bytes] | None = request.body
        # A body that was read, or that does not exist, need not be streamed.
        if call.facts is not None or request.length == 0 or (not request.length and not _is_chunked(request)):
            body = None
        query = uploads.without_ticket(headers.without_key(request.query)).decode("latin-1")

        async def send(key: ProviderKey) -> ProviderResponse:
            route, facts, sent = call.route, call.facts, body
            if route.kind != "free":
                await self._rates.enter(route.provider, call.origin)
            length = request.length
            content: bytes | AsyncIterator[bytes] | None = sent
            if facts is not None:
                if call.strip:
                    content = facts.body_with_usage()
                else:
                    content = facts.body

                length = len(content)
                if length > CHUNK_BYTES:
                    content = _in_pieces(content)

            target = f"{route.path}?{query}" if query else route.path
            sent_headers = headers.to_provider(
                request.headers, route, key.value, media=facts.media if facts else b""
            )
            if route.credential == "cloud":
                # A signature is of the whole body.
                content = b"" if content is None else await _whole(content)
                length = len(content)
                outgoing = OutgoingRequest(request.method, target, sent_headers, content)
                sent_headers = await self._cloud.headers(
                    self.named.require(route.provider), key.value, outgoing
                )

            # Before the request: afterwards nothing tells how far it got.
            call.sent = True
            return await self._upstream.request(
                title_of(route.provider),
                request.method,
                (self.bases[route.provider], target),
                sent_headers,
                content or None,
                length,
            )

        # A body that streams through can be sent once only, so there is neither a second key nor a retry.
        if body is not None:
            return await self._attempts.execute(call, keys[:1], send, may_wait=False)

        return await self._attempts.execute(call, keys, send, may_wait=request.may_wait)

    def _headers(
        self, request: ProviderRequest, call: ProviderCall, response: ProviderResponse
    ) -> headers.Headers:
        cached = headers.to_caller(response.headers, edited=call.strip)
        if call.facts is not None and not self.prices.knows(call.route.provider, call.model):
            cached.append((PRICE_HEADER, b"unknown"))
        if call.instead_of:
            cached += [
                (b"x-codewords-model", call.model.encode()),
                (b"x-codewords-instead-of", call.instead_of.encode()),
            ]

        if request.provider != "gemini" or not any(name == _UPLOAD_URL for name, _ in cached):
            return cached

        return [
            (name, self._tickets.issue(request.caller, value, request.here) if name == _UPLOAD_URL else value)
            for name, value in cached
            # The control address leads to the provider past the ticket.
            if name != _CONTROL_URL
        ]


def _imported(bases: dict[Provider, str]) -> Telemetry | None:
    from genai_prices.data_snapshot import get_snapshot

    # The price tables are read from disk here, in the thread, and not at the first priced call.
    get_snapshot()
    return open_telemetry(bases)


def _used_by(call: ProviderCall) -> CallUsage | None:
    return call.used


async def _nothing() -> None:
    """Nothing is open."""


def _is_chunked(request: ProviderRequest) -> bool:
    return any(name == b"transfer-encoding" for name, _ in request.headers)


async def _whole(content: bytes | AsyncIterator[bytes]) -> bytes:
    if isinstance(content, bytes):
        return content
    return b"".join([piece async for piece in content])


async def _in_pieces(whole: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(whole), CHUNK_BYTES):
        yield whole[at : at + CHUNK_BYTES]
