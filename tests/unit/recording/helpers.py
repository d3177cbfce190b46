"""Recordings that are made by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from codewords_mcp.runtime.recording.exchange_log import ExchangeLog
from codewords_mcp.runtime.recording.exchanges import (
    Exchange,
    RecordedRequest,
    Recording,
    RecordingChannel,
    RunMessage,
)
from codewords_mcp.runtime.recording.recorder import (
    BlockedRequest,
    OpenExchange,
    RecordedResponse,
    Recorder,
)

JSON = [(b"content-type", b"application/json")]


def request(
    method: str,
    url: str,
    body: Any = b"",
    *,
    channel: RecordingChannel = "egress",
    headers: list[tuple[bytes, bytes]] | None = None,
) -> RecordedRequest:
    """A request; a body that is no bytes is JSON. All but GET write, and calls of models prompt."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = [] if isinstance(body, bytes) else JSON
    writes = method != "GET" and channel != "gateway"
    return RecordedRequest(channel, method, url, [*kind, *(headers or [])], data, writes)


def exchange(
    number: int, sent: RecordedRequest, answer: Any = b"", status: int = 200, *, whole: bool = True
) -> Exchange:
    """An exchange that was sent."""
    data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    chunks = ((0.001, data),) if data else ()
    return Exchange(
        number, sent, "sent", number / 100, number / 100 + 0.005, status, JSON, chunks, len(data), whole
    )


def recording(*exchanges: Exchange, body: Any = None, answer: Any = None, status: int = 200) -> Recording:
    """A recording of a run that succeeded."""
    asked = RunMessage("POST", "/", headers=JSON, body=json.dumps(body).encode())
    answered = RunMessage(status=status, headers=JSON, body=json.dumps(answer).encode())
    return Recording("run_1", "service_1", 1, 0, "succeeded", asked, answered, tuple(exchanges))


def decide(recorder: Recorder, sent: RecordedRequest) -> tuple[str, bytes]:
    """(outcome, body or reason) of a request, of which nothing is sent."""

    async def ask() -> tuple[str, bytes]:
        verdict = await recorder.decide(sent)
        if isinstance(verdict, RecordedResponse):
            body = b"".join([piece async for piece in verdict.pieces])
            return ("held" if verdict.held else "answered"), body
        if isinstance(verdict, BlockedRequest):
            return "blocked", verdict.why.encode()
        assert isinstance(verdict, OpenExchange)
        return "sent", b""

    return asyncio.run(ask())


def replayed(
    recorder: Recorder, requests: Sequence[RecordedRequest], like: Recording, answer: Any = None
) -> Recording:
    """A replay of a program that makes these requests and answers so."""
    log = ExchangeLog()

    async def ask() -> None:
        for one in requests:
            log.add(one, await recorder.decide(one))

    asyncio.run(ask())
    made = recording(body=None, answer=answer)
    return Recording("run_2", "service_1", 1, 0, "succeeded", like.request, made.response, log.exchanges())
