"""Realtime sessions of OpenAI: a websocket whose responses are counted one by one, each under a reservation made before it.

A response begins when the caller asks for it, or by itself when a person stops speaking. So the most that one may cost is
reserved at any time beside those that are running; where the next cannot be paid for, the session ends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from pydantic_core import from_json, to_json

from codewords_mcp.common.json_parts import object_of
from codewords_mcp.errors import CodewordsError, InvalidInput
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.budgets import BudgetLimit
from codewords_mcp.runtime.gateway.exchange import ProviderCall
from codewords_mcp.runtime.gateway.health import Health
from codewords_mcp.runtime.gateway.keys import ProviderKey, in_trial_order
from codewords_mcp.runtime.gateway.meter import CallMeter
from codewords_mcp.runtime.gateway.providers import ProviderRoute
from codewords_mcp.runtime.gateway.reading import Reading
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.usage import Json, read_usage
from codewords_mcp.runtime.model.model_errors import ProviderRefused, ProviderUnavailable

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

ROUTE: Final = ProviderRoute("openai", "openai", "/realtime", "metered", "realtime")
MAX_MESSAGE_BYTES: Final = 32 << 20
MAX_RUNNING: Final = 32
"""Responses of one session that run at once."""
POLICY_VIOLATION: Final = 1008
"""Close code of a session that a budget ended (RFC 6455)."""
_MODEL: Final = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_COUNTED: Final = re.compile(r'"(?:response\.created|response\.done|error)"')
_TRANSCRIBED: Final = "conversation.item.input_audio_transcription.completed"
# Seconds that a key which was refused is skipped.
_KEY_REST: Final = 60.0


@dataclass(frozen=True, slots=True)
class RealtimeRequest:
    """A session to open. `headers` are those that go on to the provider."""

    origin: CallAttribution
    model: str
    headers: Mapping[str, str]
    limits: list[BudgetLimit]


@dataclass(frozen=True, slots=True)
class RealtimeUpstream:
    """The provider: its base URL, its keys, and seconds to wait for a connection."""

    base_url: str
    keys: list[ProviderKey]
    connect_timeout: float


def model_of(query: Mapping[str, str]) -> str:
    """The model that a session's address names. Raises InvalidInput."""
    model = query.get("model", "")
    # A session of a call that runs already, or of a transcription, is billed by what its address does not say.
    if not _MODEL.fullmatch(model) or query.keys() - {"model"}:
        raise InvalidInput(
            "A realtime session names its model in its address, and nothing else.",
            hint="Connect with `?model=gpt-realtime`, as the SDK does.",
        )
    return model


async def open_session(
    request: RealtimeRequest, upstream: RealtimeUpstream, meter: CallMeter, health: Health
) -> RealtimeSession:
    """Open a session.

    Raises BudgetExceeded, UnpricedModel, ProviderUnavailable and ProviderRefused.
    """
    first = await _reserve(request, meter)
    with ExitStack() as undo:
        undo.callback(meter.settle, first, Reading())
        connection = await _connect(request, upstream, health)
        undo.pop_all()
    return RealtimeSession(request, meter, connection, first)


async def _reserve(request: RealtimeRequest, meter: CallMeter) -> ProviderCall:
    """Reserve the most that one response may cost. Raises BudgetExceeded and UnpricedModel."""
    call = _call(request, meter, request.model)
    await meter.reserve_realtime(call, request.limits)
    return call


def _call(request: RealtimeRequest, meter: CallMeter, model: str) -> ProviderCall:
    return ProviderCall(ROUTE, request.origin, RequestFacts(ROUTE, b"", {}, model), meter)


async def _connect(request: RealtimeRequest, upstream: RealtimeUpstream, health: Health) -> ClientConnection:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidHandshake, InvalidStatus

    scheme, _, rest = upstream.base_url.partition("://")
    address = (
        f"{'wss' if scheme == 'https' else 'ws'}://{rest}/realtime?{urlencode({'model': request.model})}"
    )
    status = 0
    for key in in_trial_order(upstream.keys, health, lambda: False):
        headers = {**request.headers, "authorization": f"Bearer {key.value.decode('ascii')}"}
        try:
            return await connect(
                address,
                additional_headers=headers,
                user_agent_header=None,
                open_timeout=upstream.connect_timeout,
                max_size=MAX_MESSAGE_BYTES,
                compression=None,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            # Any other refusal is of the request, and another key would get it too.
            if status not in {401, 402, 403, 429}:
                break
            health.rest(key.health, _KEY_REST)
        except (OSError, InvalidHandshake, TimeoutError) as error:
            health.record_failure(("openai",))
            unreachable = ProviderUnavailable(
                "OpenAI could not be reached for a realtime session.",
                hint="Check this machine's network, then try again.",
            )
            unreachable.reached = False
            raise unreachable from error

    raise ProviderRefused(
        f"OpenAI refused the realtime session with {status}.",
        provider_status=status,
        hint="Check the model and the key.",
    )


class RealtimeSession:
    """A session in the middle between a caller and OpenAI.

    `receive` and `send` may run at once; `close` ends it in any state.
    """

    def __init__(
        self, request: RealtimeRequest, meter: CallMeter, connection: ClientConnection, first: ProviderCall
    ) -> None:
        self.run_id = ""
        self.subprotocol: str | None = None
        self.close_code = 1000
        self._request = request
        self._meter = meter
        self._connection = connection
        # The first ones are for responses that run, the last for the next.
        self._calls = [first]
        self._running = 0
        self._requested = 0
        self._transcriber = ""
        self._refusal: CodewordsError | None = None
        """Why a message of the caller ended the session; details where it reads next."""
        self._ended = False

    async def receive(self) -> str | bytes | None:
        """The provider's next message; None when the session is over."""
        from websockets.exceptions import ConnectionClosed

        if self._ended:
            return None
        try:
            message = await self._connection.recv()
        except ConnectionClosed as error:
            if self._refusal is not None:
                return await self._end(self._refusal)
            # Without a close frame the connection broke; 1006, which says so, must not be sent on
            # (RFC 6455, 7.4.1).
            received = error.rcvd
            self.close_code = received.code if received is not None else 1011
            return None

        if isinstance(message, str) and _COUNTED.search(message):
            return await self._note(message)
        if isinstance(message, str) and _TRANSCRIBED in message:
            self._count_transcription(_event(message))
        return message

    async def _note(self, message: str) -> str:
        event = _event(message)
        kind = event.get("type")
        if kind == "response.created":
            self._running += 1
            if self._requested:
                # Its reservation was made when the caller asked.
                self._requested -= 1
            else:
                try:
                    await self._another()
                except CodewordsError as error:
                    return await self._end(error)
        elif kind == "response.done":
            self._settle(object_of(event.get("response")))
        elif kind == "error" and self._requested:
            # A response that was refused never began. If the error is of another event, it is reserved when it begins.
            self._requested -= 1
            self._meter.settle(self._calls.pop(), Reading())
        return message

    async def _another(self) -> None:
        if len(self._calls) > MAX_RUNNING:
            raise InvalidInput(f"A realtime session runs at most {MAX_RUNNING} responses at once.")
        self._calls.append(await _reserve(self._request, self._meter))

    def _settle(self, response: Json) -> None:
        """Count a response that is done."""
        if not self._running or not self._calls:
            return
        self._running -= 1
        usage = object_of(response.get("usage"))
        tokens = read_usage("realtime", usage) if usage else None
        # A response that was cancelled before it began reports nothing, and is not billed.
        if tokens is None and response.get("status") in {"cancelled", "failed"}:
            tokens = {"input_tokens": 0, "output_tokens": 0}
        call = self._calls.pop(0)
        call.sent, call.status = True, 200
        self._meter.settle(call, Reading(self._request.model, tokens=tokens, whole=tokens is not None))

    def _count_transcription(self, event: Json) -> None:
        usage = object_of(event.get("usage"))
        tokens = read_usage("realtime", usage) if usage else None
        call = _call(self._request, self._meter, self._transcriber or "transcription")
        call.sent, call.status = True, 200
        self._meter.settle(call, Reading(call.model, tokens=tokens, whole=tokens is not None))

    async def send(self, message: str | bytes) -> None:
        """Pass a caller's message on. One that asks for a response is reserved first, or ends the session."""
        from websockets.exceptions import ConnectionClosed

        if self._ended:
            return
        event = _event(message)
        try:
            if not event:
                raise InvalidInput("A message of a realtime session is a JSON object.")
            if event.get("type") == "response.create":
                await self._another()
                self._requested += 1
        except CodewordsError as error:
            self._refusal = error
            await self._connection.close()
            return

        if event.get("type") == "session.update":
            self._transcriber = _transcriber_of(event) or self._transcriber
        try:
            # As it was read: a field that is named twice may mean one thing here and another there.
            await self._connection.send(to_json(event).decode())
        except ConnectionClosed:
            return

    async def _end(self, error: CodewordsError) -> str:
        """End the session. Returns the event that tells the caller why."""
        self._ended = True
        self.close_code = POLICY_VIOLATION
        await self._connection.close()
        details = {
            "type": "insufficient_quota",
            "code": error.code,
            "message": str(error),
            "param": None,
            "event_id": None,
        }
        return to_json({"type": "error", "event_id": "event_codewords", "error": details}).decode()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session, and count what was running at its reservation."""
        self._ended = True
        await self._connection.close(code, reason)
        self._settle_rest()

    def _settle_rest(self) -> None:
        """Give back what is reserved; responses that were running are billed, and count as what they may have cost."""
        for position, call in enumerate(self._calls):
            if position < self._running + self._requested:
                call.sent, call.status = True, 200
            self._meter.settle(call, Reading())
        self._calls.clear()


def _event(message: str | bytes) -> Json:
    try:
        return object_of(from_json(message))
    except ValueError:
        return {}


def _transcriber_of(event: Json) -> str:
    """The model that transcribes what a person says, as a session's settings name it."""
    session = object_of(event.get("session"))
    audio = object_of(object_of(session.get("audio")).get("input"))
    chosen = object_of(audio.get("transcription")) or object_of(session.get("input_audio_transcription"))
    model = chosen.get("model")
    return model if isinstance(model, str) and _MODEL.fullmatch(model) else ""
