"""Messages of Gemini's Live sessions (BidiGenerateContent)."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from codewords_mcp.common.json_parts import list_of, object_of, text_of
from codewords_mcp.errors import CodewordsError, InvalidInput
from codewords_mcp.runtime.gateway.inputs import find_inputs
from codewords_mcp.runtime.gateway.realtime.address import RealtimeAddress
from codewords_mcp.runtime.gateway.realtime.calls import CallLane, SessionCalls
from codewords_mcp.runtime.gateway.realtime.events import Message, event_of
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.usage import Json, read_usage

_MODEL: Final = re.compile(
    r"(?:models/|(?:projects/[\w.:-]+/locations/[\w-]+/)?publishers/google/models/)?([\w.-]{1,100})", re.ASCII
)
_COUNTED: Final = re.compile(rb'"(?:serverContent|toolCall|usageMetadata)"')
# What a server's content has when the model is at work.
_OUTPUT: Final = ("modelTurn", "outputTranscription", "generationComplete")


def read_setup(message: Message, address: RealtimeAddress) -> tuple[Json, RequestFacts]:
    """The first message as it goes on, and the facts that bound each response. Raises InvalidInput."""
    event = event_of(message)
    setup = object_of(event.get("setup"))
    match = _MODEL.fullmatch(text_of(setup.get("model")))
    if event.keys() != {"setup"} or match is None:
        raise InvalidInput(
            "The first message of a Live session is its `setup`, which names a model.",
            hint="Connect with `client.aio.live.connect(model=…)`.",
        )
    if address.scope:
        # The project and location are the operator's, whatever a caller names.
        setup["model"] = f"{address.scope}/publishers/google/models/{match[1]}"
    return event, RequestFacts(address.route, b"", setup, match[1])


class LiveEvents:
    """See `SessionEvents`. Usage may be reported in the middle of a turn, at its end, or behind it."""

    def __init__(self, calls: SessionCalls, facts: RequestFacts) -> None:
        self._route = facts.route
        self._turns = CallLane(calls, facts)
        self._has_search = find_inputs(facts).searches > 0
        self._searches = 0
        self._reported = False
        """Usage of this turn was reported."""
        self._since = False
        """The model has written more since then."""
        self._complete = False
        """The turn of the call that runs has ended, without a report so far."""

    async def open(self) -> None:
        """See `SessionEvents`."""
        await self._turns.open()

    async def run(self) -> None:
        """See `SessionEvents`."""
        await asyncio.get_running_loop().create_future()

    async def sent(self, event: Json) -> None:
        """See `SessionEvents`."""
        later = object_of(event.get("contextUpdate")) or object_of(event.get("context_update"))
        added = find_inputs(RequestFacts(self._route, b"", later, ""))
        if "setup" in event or added.uncounted or (added.searches and not self._has_search):
            raise InvalidInput(
                "A Live session is set up once, with the tools of the provider that it may use.",
                hint="Open another session for another model or tool.",
            )

    async def received(self, message: Message) -> None:
        """See `SessionEvents`."""
        data = message.encode() if isinstance(message, str) else message
        if not _COUNTED.search(data):
            return
        event = event_of(message)
        content = object_of(event.get("serverContent"))
        if event.get("toolCall") or any(content.get(name) for name in _OUTPUT):
            await self._wrote()
        grounding = object_of(content.get("groundingMetadata"))
        self._searches += len(list_of(grounding.get("webSearchQueries")))
        if usage := object_of(event.get("usageMetadata")):
            await self._report(usage)
        if content.get("turnComplete"):
            self._complete = self._turns.running > 0
            self._reported = self._since = False

    async def _wrote(self) -> None:
        """Note that the model writes."""
        if self._complete:
            # No report came for the turn before.
            self._turns.settle(None)
            self._complete = False
        if self._reported:
            self._since = True
        elif not self._turns.running:
            await self._turns.begin()

    async def _report(self, usage: Json) -> None:
        """Settle by a report. Each is of what its response read and wrote."""
        if not self._turns.running:
            await self._turns.begin()
        tokens = read_usage("live", usage)
        if tokens is not None and self._has_search:
            tokens["web_searches"] = self._searches
        self._turns.settle(tokens)
        self._searches = 0
        self._reported = not self._complete
        self._since = self._complete = False

    def refusal(self, error: CodewordsError) -> None:
        """See `SessionEvents`. Google's interface has no such message."""
        del error

    def release(self) -> None:
        """See `SessionEvents`."""
        self._turns.release(began=1 if self._since else 0)
