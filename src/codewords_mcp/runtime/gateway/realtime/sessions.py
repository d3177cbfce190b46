"""Opens realtime sessions: key, lists of models, budgets, rate limits and recording, as for every other call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pydantic_core import to_json

from codewords_mcp.errors import Conflict
from codewords_mcp.runtime.gateway import headers
from codewords_mcp.runtime.gateway.attribution import CallChain
from codewords_mcp.runtime.gateway.cloud_credentials import CloudCredentials, OutgoingRequest
from codewords_mcp.runtime.gateway.health import Health
from codewords_mcp.runtime.gateway.keys import ProviderKey, ProviderKeys
from codewords_mcp.runtime.gateway.meter import CallMeter
from codewords_mcp.runtime.gateway.model_choice import ModelChoice
from codewords_mcp.runtime.gateway.named_providers import NamedProviders
from codewords_mcp.runtime.gateway.prices import Prices
from codewords_mcp.runtime.gateway.rate_limits import RateLimits
from codewords_mcp.runtime.gateway.realtime.address import RealtimeAddress
from codewords_mcp.runtime.gateway.realtime.calls import CallLane, SessionCalls
from codewords_mcp.runtime.gateway.realtime.clock import SessionClock
from codewords_mcp.runtime.gateway.realtime.connection import RealtimeUpstream, connect_upstream
from codewords_mcp.runtime.gateway.realtime.events import Message, SessionEvents
from codewords_mcp.runtime.gateway.realtime.live_events import LiveEvents, read_setup
from codewords_mcp.runtime.gateway.realtime.openai_events import OpenAIEvents
from codewords_mcp.runtime.gateway.realtime.session import DeferredSession, RealtimeSession
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.telemetry import Telemetry
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.provider import Provider
from codewords_mcp.runtime.recording.recorder import OpenExchange
from codewords_mcp.runtime.recording.recording_session import RecorderRegistry

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection


@dataclass(frozen=True, slots=True)
class RealtimeSessions:
    """Opens the sessions of a gateway, of whose parts it is made. `bases`: provider → base URL."""

    named: NamedProviders
    bases: Mapping[Provider, str]
    keys: ProviderKeys
    models: ModelChoice
    meter: CallMeter
    prices: Prices
    health: Health
    rates: RateLimits
    cloud: CloudCredentials
    call_chain: CallChain
    recorders: RecorderRegistry
    telemetry: Callable[[], Awaitable[Telemetry | None]]
    connect_timeout: float

    async def open(
        self, caller: Caller, address: RealtimeAddress, forwarded: headers.Headers
    ) -> RealtimeSession | DeferredSession:
        """Open a session; `forwarded` are the caller's headers that go on to the provider.

        One whose first message names the model is open at once, and tells what is wrong with it when it closes. Raises
        ServiceNotAvailable, ModelNotAllowed, BudgetExceeded, UnpricedModel, TooBusy, ProviderUnavailable, ProviderRefused,
        and Conflict in a run that is answered from a recording.
        """
        opening = await self._prepare(caller, address, forwarded)
        if address.kind == "live":
            return DeferredSession(opening.open_live)
        return await opening.open_compatible()

    async def _prepare(
        self, caller: Caller, address: RealtimeAddress, forwarded: headers.Headers
    ) -> _Opening:
        provider = address.route.provider
        named = self.named.find(provider)
        keys = await self.keys.find(caller.owner, provider, needed=named is None or named.needs_key)
        telemetry = await self.telemetry()
        origin = self.call_chain.origin(caller)
        calls = SessionCalls(
            origin,
            self.meter,
            await self.meter.limits(origin),
            await self.models.lists(origin),
            lambda: None if telemetry is None else telemetry.observe([], origin),
        )
        url = f"{self.bases[provider]}{address.route.path}" + (f"?{address.query}" if address.query else "")

        async def headers_with(key: ProviderKey) -> headers.Headers:
            sent = headers.to_provider(forwarded, address.route, key.value)
            if address.route.credential != "cloud":
                return sent
            request = OutgoingRequest("GET", address.route.path, sent, b"")
            return await self.cloud.headers(self.named.require(provider), key.value, request)

        async def connect() -> ClientConnection:
            await self.rates.enter(provider, origin)
            upstream = RealtimeUpstream(provider, url, keys, headers_with, self.connect_timeout)
            return await connect_upstream(upstream, self.health)

        return _Opening(address, calls, self.prices, connect, partial(self._recorded, caller, url))

    async def _recorded(self, caller: Caller, url: str) -> OpenExchange | None:
        """The exchange of a session's handshake, where the caller's run is recorded."""
        session = self.recorders.of(caller.run_id)
        if session is None:
            return None
        verdict = await session.decide("gateway", "GET", url.encode(), [], None, writes=False)
        if verdict is None or isinstance(verdict, OpenExchange):
            return verdict
        raise Conflict(
            "A run that is answered from a recording opens no realtime session.",
            hint="What is said in a session is not recorded.",
        )


@dataclass(frozen=True, slots=True)
class _Opening:
    """A session that is about to be opened. `connect` connects to the provider, `record` begins its exchange."""

    address: RealtimeAddress
    calls: SessionCalls
    prices: Prices
    connect: Callable[[], Awaitable[ClientConnection]]
    record: Callable[[], Awaitable[OpenExchange | None]]

    async def open_compatible(self) -> RealtimeSession:
        """Open a session in OpenAI's way."""
        route, kind = self.address.route, self.address.kind
        facts = RequestFacts(route, b"", {}, route.model)
        if route.model:
            self.calls.check(facts)
        lane: CallLane | None = None
        clock: SessionClock | None = None
        if kind == "translation" or (
            kind == "responses" and self.prices.audio_rates(route.provider, route.model)
        ):
            clock = SessionClock(self.calls, facts)
        elif kind == "responses":
            lane = CallLane(self.calls, facts)
        events = OpenAIEvents(self.calls, route, lane, clock, transcribes=kind == "transcription")
        return await self._open(events, route.model)

    async def open_live(self, first: Message) -> RealtimeSession:
        """Open Gemini's session with its setup."""
        setup, facts = read_setup(first, self.address)
        self.calls.check(facts)
        return await self._open(LiveEvents(self.calls, facts), facts.model, to_json(setup).decode())

    async def _open(self, events: SessionEvents, model: str, first: str = "") -> RealtimeSession:
        exchange = await self.record()

        def ended(*, whole: bool) -> None:
            if exchange is not None:
                exchange.usage = self.calls.used(model)
                exchange.end(whole=whole)

        with ExitStack() as undo:
            undo.callback(ended, whole=False)
            undo.callback(events.release)
            await events.open()
            connection = await self.connect()
            session = RealtimeSession(connection, events, partial(ended, whole=True))
            undo.pop_all()
        if exchange is not None:
            exchange.record_response(101, [])
        if first:
            await session.send_first(first)
        return session
