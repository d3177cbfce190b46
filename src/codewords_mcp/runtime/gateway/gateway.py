"""The gateway of a home: a call's route, key and origin, the call itself, and its answer passed on as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from codewords_mcp.errors import CodewordsError, ModelNotAllowed
from codewords_mcp.runtime.auth.api_keys import ApiKeys
from codewords_mcp.runtime.gateway import cache, headers, uploads
from codewords_mcp.runtime.gateway import recorded_calls as recorded
from codewords_mcp.runtime.gateway.attempts import Attempts
from codewords_mcp.runtime.gateway.attribution import CallAttribution, CallChain
from codewords_mcp.runtime.gateway.budgets import BudgetLimit, Budgets
from codewords_mcp.runtime.gateway.canonical import canonical
from codewords_mcp.runtime.gateway.exchange import ProviderCall
from codewords_mcp.runtime.gateway.health import Health
from codewords_mcp.runtime.gateway.http_connection import PhaseTimeouts, ProviderResponse
from codewords_mcp.runtime.gateway.keys import TITLES, ProviderKey, ProviderKeys
from codewords_mcp.runtime.gateway.ledger import Ledger
from codewords_mcp.runtime.gateway.meter import CallMeter
from codewords_mcp.runtime.gateway.prices import Prices
from codewords_mcp.runtime.gateway.providers import ProviderRoute, base_urls, find_route
from codewords_mcp.runtime.gateway.rate_limits import RateLimits
from codewords_mcp.runtime.gateway.request_facts import RequestFacts, read_request
from codewords_mcp.runtime.gateway.rules import allows, stand_ins
from codewords_mcp.runtime.gateway.tap import Reading
from codewords_mcp.runtime.gateway.telemetry import Telemetry, open_telemetry
from codewords_mcp.runtime.gateway.upstream import Upstream
from codewords_mcp.runtime.gateway.verdicts import when_to_return
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.provider import GatewayResponse, Provider, ProviderRequest
from codewords_mcp.runtime.recording.recorder import Tapes
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.settings import Settings

PIECE = 256 << 10
"""Bytes handed to a connection at once: more would hold up everybody else."""
_UPLOAD_URL, _CONTROL_URL = b"x-goog-upload-url", b"x-goog-upload-control-url"


class Gateway:
    """The gateway of one home. All methods are for the event loop of the runtime."""

    def __init__(
        self,
        secrets: SecretService,
        keyring: ApiKeys,
        database: Database,
        settings: Settings,
        *,
        executor: str,
    ) -> None:
        self.tapes = Tapes()
        self.keys = ProviderKeys(secrets)
        self.lineage = CallChain()
        self.ledger = Ledger(database)
        self.prices = Prices(settings.model_prices, settings.model_aliases)
        self.budgets = Budgets(database, self.ledger, settings.budgets, executor=executor)
        self.lineage.on_end = self._run_ended
        self.lineage.on_models = self.prepare
        self._keyring = keyring
        self._meter = CallMeter(self.prices, self.ledger, self.budgets)
        self._fallbacks = settings.model_fallbacks
        self._bases = base_urls(settings)
        self._upstream = Upstream(
            PhaseTimeouts(
                settings.provider_connect_timeout,
                settings.provider_timeout,
                settings.provider_chunk_timeout,
                settings.provider_whole_timeout,
            )
        )
        self._attempts = Attempts(Health(), settings.provider_retries)
        self._cache = cache.Cache()
        self._rates = RateLimits(settings.provider_rates, settings.key_rates)
        self._tickets = uploads.UploadTickets()
        self._warming: asyncio.Task[Telemetry | None] | None = None
        self._telemetry: Telemetry | None = None

    def _run_ended(self, run_id: str) -> None:
        self.budgets.forget_run(run_id)
        self._tickets.forget_run(run_id)

    async def ask(self, request: ProviderRequest) -> GatewayResponse:
        """As `_ask`, unless the caller's run has a recorder that answers in the provider's place. Raises Conflict where it
        holds the call.
        """
        if uploads.TICKET in request.query and uploads.ticket_in(request.query) is not None:
            with self._tickets.part(request.query, request.headers) as statuses:
                reply = await self._recorded(request)
                statuses.append(reply.status)
            return reply
        return await self._recorded(request)

    async def _recorded(self, request: ProviderRequest) -> GatewayResponse:
        tape = self.tapes.of(request.caller.run_id)
        return await (
            self._ask(request) if tape is None else recorded.ask(request, tape, self._bases, self._ask)
        )

    async def _ask(self, request: ProviderRequest) -> GatewayResponse:
        """Call the provider. Cancelling the awaiting task, or closing the reply early, aborts the call.

        Raises NotFound for a path that is none, ServiceNotAvailable without a key, ModelNotAllowed, BudgetExceeded,
        UnpricedModel, TooBusy where a rate limit makes it wait too long, ProviderUnavailable, ProviderTimedOut, and
        whatever the body of the request raises.
        """
        route = find_route(request.provider, request.method, request.path, run_mount=request.run_mount)
        keys = await self.keys.find(request.caller.owner, route.provider)
        self._telemetry = await self._prepared()
        asked = None
        if route.kind == "metered":
            asked = read_request(route, b"".join([chunk async for chunk in request.body]))
        call, limits = await self._exchange(request, route, asked)
        asked = call.asked
        question = asked and cache.question_of(request.headers, request.query, call.origin, asked)
        if question and question.may_give and (kept := self._cache.find(question.name)):
            return self._given(call, kept)

        try:
            await self._meter.reserve(call, limits)
            answer = await self._answered(request, call, keys)
            call.begun(answer)
            if answer.status == 429 and (seconds := when_to_return(answer, {})):
                self._rates.told(route.provider, seconds)
            told = self._headers(request, call, answer)
            if question and not call.instead_of:
                call.keep = partial(self._keep, call, question, told)
                told = [*told, (cache.ASKS, b"miss")]

            return GatewayResponse(answer.status, told, call.relay(), call.close, lambda: call.used)
        except BaseException as error:
            if isinstance(error, CodewordsError):
                call.failure = error.code
            else:
                call.failure = type(error).__name__

            await call.close()
            raise

    async def _exchange(
        self, request: ProviderRequest, route: ProviderRoute, asked: RequestFacts | None
    ) -> tuple[ProviderCall, list[BudgetLimit]]:
        """The call as it will be made, and the budgets that it is held to. Raises ModelNotAllowed, InvalidInput."""
        origin = self.lineage.origin(request.caller)
        others: tuple[RequestFacts, ...] = ()
        limits: list[BudgetLimit] = []

        if route.kind != "free":
            listed, limits = await self._lists(origin), await self._meter.limits(origin)
            if asked is not None and (listed or limits):
                asked = canonical(asked, request.headers)
            if listed:
                _check(listed, route, asked)
            if asked is not None and request.may_switch:
                others = self._others(origin, listed, asked)

        call = ProviderCall(route, origin, asked, self._meter, others)
        call.instead_of = request.instead_of
        if self._telemetry is not None:
            call.watched = self._telemetry.watch(request.headers, origin)
        return call, limits

    async def _prepared(self) -> Telemetry | None:
        warming = self.prepare()
        if not warming.done():
            await asyncio.shield(warming)
        return warming.result()

    def _keep(
        self,
        call: ProviderCall,
        question: cache.CacheLookup,
        told: headers.Headers,
        body: bytes,
        reading: Reading,
    ) -> None:
        self._cache.keep(question.name, question.seconds, told, body, reading.tokens or {}, call.model)

    def _given(self, call: ProviderCall, kept: cache.CachedResponse) -> GatewayResponse:
        """The reply with a kept answer."""
        call.used = used = self._meter.given(call, kept)
        if call.watched is not None:
            call.watched.ended(call, Reading(kept.model, body=kept.body))
        told = [*kept.headers, (b"content-length", b"%d" % len(kept.body)), (cache.ASKS, b"hit")]
        return GatewayResponse(200, told, kept.pieces(), _nothing, lambda: used)

    def prepare(self) -> asyncio.Task[Telemetry | None]:
        """Import what calls need, in a thread: together it takes half a second, which the first call need not wait for."""
        if self._warming is None:
            self._warming = asyncio.create_task(asyncio.to_thread(_imported, self._bases))
        return self._warming

    def fallbacks(self, caller: Caller, provider: Provider, model: str) -> list[tuple[Provider, str]]:
        """(provider, model) of what stands in for a model that this caller asks for; providers may differ."""
        origin = self.lineage.origin(caller)
        return stand_ins((origin.rules.fallbacks, self._fallbacks), provider, model)

    def upload_caller(self, path: str, query: bytes) -> Caller:
        """Who began the upload that this path and the ticket in this query go on with. Raises Unauthenticated."""
        return self._tickets.caller(path, query)

    async def tidy(self) -> None:
        """Forget what is old."""
        await self.ledger.purge()
        await self.budgets.forget_past()

    async def close(self) -> None:
        """End every connection to a provider, write what is not written yet, export what is not exported."""
        await self._upstream.close()
        self.ledger.flush()
        if self._warming is not None and (telemetry := await self._warming):
            await asyncio.to_thread(telemetry.close)

    async def _lists(self, origin: CallAttribution) -> list[tuple[str, ...]]:
        """The lists of models that a call of this origin has to keep to, all of them."""
        if origin.key_id:
            of_key = await self._keyring.models_of(origin.key_id)
        else:
            of_key = None
        return [listed for listed in (of_key, origin.rules.models) if listed is not None]

    def _others(
        self, origin: CallAttribution, listed: list[tuple[str, ...]], asked: RequestFacts
    ) -> tuple[RequestFacts, ...]:
        if not (origin.rules.fallbacks or self._fallbacks) or asked.files:
            return ()
        provider = asked.route.provider
        found = stand_ins((origin.rules.fallbacks, self._fallbacks), provider, asked.model)
        return tuple(
            asked.of(model)
            for where, model in found
            if where == provider and all(allows(one, provider, model) for one in listed)
        )

    async def _answered(
        self, request: ProviderRequest, call: ProviderCall, keys: list[ProviderKey]
    ) -> ProviderResponse:
        """The answer to pass on, by whichever key and try."""
        body: AsyncIterator[bytes] | None = request.body
        if call.asked is not None or request.length == 0 or (not request.length and not _is_chunked(request)):
            body = None
        query = uploads.without_ticket(headers.without_key(request.query)).decode("latin-1")

        async def send(key: ProviderKey) -> ProviderResponse:
            route, asked, sent = call.route, call.asked, body
            if route.kind != "free":
                await self._rates.enter(route.provider, call.origin)
            length = request.length
            content: bytes | AsyncIterator[bytes] | None = sent
            if asked is not None:
                if call.strip:
                    content = asked.telling()
                else:
                    content = asked.body

                length = len(content)
                if length > PIECE:
                    content = _in_pieces(content)

            call.sent = True
            return await self._upstream.request(
                TITLES[route.provider],
                request.method,
                (self._bases[route.provider], f"{route.path}?{query}" if query else route.path),
                headers.to_provider(request.headers, route, key.value, media=asked.media if asked else b""),
                content,
                length,
            )

        if body is not None:  # it streams through: there is no second time
            return await self._attempts.answered(call, keys[:1], send, repeats=False)

        return await self._attempts.answered(call, keys, send, repeats=request.may_wait)

    def _headers(
        self, request: ProviderRequest, call: ProviderCall, answer: ProviderResponse
    ) -> headers.Headers:
        kept = headers.to_caller(answer.headers, edited=call.strip)
        if call.instead_of:
            kept += [
                (b"x-codewords-model", call.model.encode()),
                (b"x-codewords-instead-of", call.instead_of.encode()),
            ]

        if request.provider != "gemini" or not any(name == _UPLOAD_URL for name, _ in kept):
            return kept

        return [
            (name, self._tickets.issue(request.caller, value, request.here) if name == _UPLOAD_URL else value)
            for name, value in kept
            if name != _CONTROL_URL
        ]


def _check(listed: list[tuple[str, ...]], route: ProviderRoute, asked: RequestFacts | None) -> None:
    """Raises ModelNotAllowed."""
    if asked is None or not asked.model:
        raise ModelNotAllowed(
            "This call does not say which model it asks, so it is refused where models are listed.",
            hint="Make it with a key that may ask every model.",
        )

    for one in listed:
        if not allows(one, route.provider, asked.model):
            raise ModelNotAllowed(
                "This model is not among those that may be asked here.",
                hint=f"Allowed are {', '.join(one) or 'none'}. `codewords keys create --models` and `models` under "
                "[tool.codewords] list them.",
            )


def _imported(bases: dict[Provider, str]) -> Telemetry | None:
    from genai_prices.data_snapshot import get_snapshot

    get_snapshot()
    return open_telemetry(bases)


async def _nothing() -> None:
    """Nothing is open."""


def _is_chunked(request: ProviderRequest) -> bool:
    return any(name == b"transfer-encoding" for name, _ in request.headers)


async def _in_pieces(whole: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(whole), PIECE):
        yield whole[at : at + PIECE]
