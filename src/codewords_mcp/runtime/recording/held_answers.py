"""Responses that stand for those of held writes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from codewords_mcp.common.bounded_json import JsonObject, JsonValue, parse_or_none
from codewords_mcp.runtime.recording.exchanges import Exchange, Headers, RecordedRequest
from codewords_mcp.runtime.recording.held_writes import StoredAnswer
from codewords_mcp.runtime.recording.recorder import RecordedResponse

HELD: Final = "held"
RECORDED: Final = "the response of an earlier run"
DECLARED: Final = "an example of its declared output"
PLACEHOLDER: Final = "202 with a body that says held"
MARK: Final = (b"codewords-held", b"dry run")
"""Header of each response that stands for one of a held write."""
_MESSAGE: Final = "Held by a dry run: nothing was sent."
_PASSED_ON: Final = frozenset({b"content-type", b"location"})


class EarlierAnswers(Protocol):
    """Finds what a workflow was answered in earlier runs."""

    async def find(self, request: RecordedRequest) -> Exchange | None:
        """The exchange whose response fits this request best; None without one."""
        ...


class NoEarlierAnswers:
    """Nothing was recorded."""

    async def find(self, request: RecordedRequest) -> Exchange | None:  # noqa: ARG002
        """See `EarlierAnswers`."""
        return None


def best_exchange(request: RecordedRequest, exchanges: Sequence[Exchange]) -> Exchange | None:
    """The latest complete success of an equal request, else of the same route. `exchanges`: the newest first."""
    fitting = [
        exchange
        for exchange in exchanges
        if exchange.outcome == "sent"
        and exchange.whole
        and 200 <= exchange.status < 300
        and exchange.request.route == request.route
    ]
    equal = (exchange for exchange in fitting if exchange.request.key == request.key)
    return next(equal, fitting[0] if fitting else None)


async def held_answer(
    request: RecordedRequest, earlier: EarlierAnswers, declared: StoredAnswer | None = None
) -> tuple[StoredAnswer, str]:
    """(a plausible response to a held request, where it comes from)."""
    exchange = await earlier.find(request)
    if exchange is not None:
        # Other headers, such as cookies and rate limits, belong to the earlier response alone.
        headers = [pair for pair in exchange.headers if pair[0] in _PASSED_ON]
        return StoredAnswer(exchange.status, headers, exchange.body), RECORDED

    declared = declared or _protocol_answer(request)
    if declared is not None:
        return declared, DECLARED
    return json_answer(202, {HELD: True, "message": _MESSAGE}), PLACEHOLDER


def json_answer(status: int, value: JsonValue) -> StoredAnswer:
    """A response of JSON."""
    return StoredAnswer(status, [(b"content-type", b"application/json")], json.dumps(value).encode())


def respond(answer: StoredAnswer, *, held: bool, note: str, bodiless: bool = False) -> RecordedResponse:
    """The verdict that answers in the host's place."""
    headers: Headers = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]
    if held:
        headers.append(MARK)
    body = b"" if bodiless else answer.body
    return RecordedResponse(answer.status, headers, _once(body), held=held, note=note)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body


def _protocol_answer(request: RecordedRequest) -> StoredAnswer | None:
    """The response that a protocol declares: an upload's, or JSON-RPC's; of a tool's call in MCP's form."""
    if request.channel == "call" and request.method == "PUT":
        return StoredAnswer(200, [], b"")
    call = parse_or_none(request.body or b"")
    if not isinstance(call, dict) or "jsonrpc" not in call:
        return None

    result: JsonObject = {HELD: True}
    if call.get("method") == "tools/call":
        result = {"content": [{"type": "text", "text": _MESSAGE}], "isError": False}
    return json_answer(200, {"jsonrpc": "2.0", "id": call.get("id"), "result": result})
