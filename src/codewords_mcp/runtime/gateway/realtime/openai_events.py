"""Events of OpenAI's realtime interface, and of providers that speak like it."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from pydantic_core import to_json

from codewords_mcp.common.json_parts import list_of, object_of
from codewords_mcp.errors import CodewordsError, InvalidInput
from codewords_mcp.runtime.gateway.providers import ProviderRoute
from codewords_mcp.runtime.gateway.realtime.address import MODEL
from codewords_mcp.runtime.gateway.realtime.calls import NOTHING, CallLane, SessionCalls
from codewords_mcp.runtime.gateway.realtime.clock import SessionClock
from codewords_mcp.runtime.gateway.realtime.events import Message, event_of
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.usage import Json, read_usage

_COMMITTED: Final = "input_audio_buffer.committed"
_TRANSCRIPTION: Final = "conversation.item.input_audio_transcription."
_COUNTED: Final = re.compile(
    r'"(?:response\.created|response\.done|error|input_audio_buffer\.committed|'
    r'conversation\.item\.input_audio_transcription\.(?:completed|failed))"'
)
_UPDATES: Final = frozenset({"session.update", "transcription_session.update"})


class OpenAIEvents:
    """See `SessionEvents`. `responses` or `clock` count what is said, transcriptions what was heard.

    `transcribes`: the session does nothing else, and its address may name the model.
    """

    def __init__(
        self,
        calls: SessionCalls,
        route: ProviderRoute,
        responses: CallLane | None = None,
        clock: SessionClock | None = None,
        *,
        transcribes: bool = False,
    ) -> None:
        self._session = calls
        self._route = route
        self._responses = responses
        self._clock = clock
        self._transcribes = transcribes
        self._transcriber = ""
        self._transcriptions: CallLane | None = None

    async def open(self) -> None:
        """See `SessionEvents`."""
        if self._responses is not None:
            await self._responses.open()
        if self._clock is not None:
            await self._clock.open()
        if self._transcribes and self._route.model:
            await self._transcribe_by(self._route.model)

    async def run(self) -> None:
        """See `SessionEvents`."""
        if self._clock is None:
            await asyncio.get_running_loop().create_future()
        else:
            await self._clock.run()

    async def sent(self, event: Json) -> None:
        """See `SessionEvents`."""
        kind = event.get("type")
        settings = object_of(event.get("session")) or object_of(event.get("response"))
        self._session.check_tools(list_of(settings.get("tools")))
        if kind == "response.create":
            if self._responses is not None:
                await self._responses.request()
            elif self._clock is None:
                raise _no_responses()
        elif kind in _UPDATES and (model := _transcriber_of(event)):
            await self._transcribe_by(model)
        if self._clock is not None and isinstance(kind, str):
            await self._clock.note_sent(kind)

    async def _transcribe_by(self, model: str) -> None:
        """Reserve the first utterance for a model that transcribes."""
        if model == self._transcriber:
            return
        facts = RequestFacts(self._route, b"", {}, model)
        self._session.check(facts)
        lane = CallLane(self._session, facts)
        await lane.open()
        if self._transcriptions is not None:
            self._transcriptions.release()
        self._transcriber, self._transcriptions = model, lane

    async def received(self, message: Message) -> None:
        """See `SessionEvents`."""
        if not isinstance(message, str) or not _COUNTED.search(message):
            return
        event = event_of(message)
        kind: object = event.get("type")
        if kind == "response.created":
            await self._response_began()
        elif kind == "response.done" and self._responses is not None:
            self._response_ended(object_of(event.get("response")), self._responses)
        elif kind == "error" and self._responses is not None:
            # If the error is of another event, the response is reserved when it begins.
            self._responses.refuse()
        elif kind == _COMMITTED and self._transcriptions is not None:
            await self._transcriptions.begin()
        elif kind == f"{_TRANSCRIPTION}completed":
            await self._transcription_ended(object_of(event.get("usage")))
        elif kind == f"{_TRANSCRIPTION}failed" and self._transcriptions is not None:
            self._transcriptions.settle(NOTHING)

    async def _response_began(self) -> None:
        if self._responses is not None:
            await self._responses.begin()
        elif self._clock is None:
            raise _no_responses()

    def _response_ended(self, response: Json, lane: CallLane) -> None:
        usage = object_of(response.get("usage"))
        tokens = read_usage("realtime", usage) if usage else None
        # A response that was cancelled before it began reports nothing, and is not billed.
        if tokens is None and response.get("status") in {"cancelled", "failed"}:
            tokens = NOTHING
        lane.settle(tokens)

    async def _transcription_ended(self, usage: Json) -> None:
        if self._transcriptions is None:
            # Chosen by the provider's own settings.
            await self._transcribe_by("transcription")
        if (lane := self._transcriptions) is None:
            return
        if not lane.running:
            await lane.begin()
        lane.settle(read_usage("transcribe", usage) if usage else None)

    def refusal(self, error: CodewordsError) -> str:
        """See `SessionEvents`."""
        details = {
            "type": "insufficient_quota",
            "code": error.code,
            "message": str(error),
            "param": None,
            "event_id": None,
        }
        return to_json({"type": "error", "event_id": "event_codewords", "error": details}).decode()

    def release(self) -> None:
        """See `SessionEvents`."""
        for part in (self._responses, self._clock, self._transcriptions):
            if part is not None:
                part.release()


def _no_responses() -> InvalidInput:
    return InvalidInput(
        "A session that transcribes has no responses.",
        hint="Connect with `?model=…` instead of `?intent=transcription`.",
    )


def _transcriber_of(event: Json) -> str:
    """The model that transcribes what a person says, as a session's settings name it."""
    session = object_of(event.get("session"))
    audio = object_of(object_of(session.get("audio")).get("input"))
    chosen = object_of(audio.get("transcription")) or object_of(session.get("input_audio_transcription"))
    model = chosen.get("model")
    return model if isinstance(model, str) and MODEL.fullmatch(model) else ""
