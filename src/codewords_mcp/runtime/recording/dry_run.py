"""Dry runs: reads go out, writes are held, answered in their target's place and listed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from typing import Final

from typing_extensions import override

from codewords_mcp.runtime.recording.exchanges import RecordedRequest, split_url
from codewords_mcp.runtime.recording.held_answers import EarlierAnswers, held_answer, respond
from codewords_mcp.runtime.recording.held_writes import (
    MAX_WRITES,
    HeldWrite,
    StoredAnswer,
    WriteList,
    effect_of,
    stored_headers,
)
from codewords_mcp.runtime.recording.recorder import BlockedRequest, OpenExchange, RecordedResponse, Verdict
from codewords_mcp.runtime.recording.write_keys import WriteKeys
from codewords_mcp.runtime.recording.writes import is_run_call, is_websocket, why_write

TOO_MANY: Final = f"this dry run holds {MAX_WRITES} writes already"
WEBSOCKET: Final = (
    "it opens a websocket, whose messages cannot be judged one by one in a dry run; run it for real, or make the same "
    "calls over HTTP"
)


class JudgingRecorder(ABC):
    """A recorder that lets reads pass and decides each write by the list of this run's writes."""

    answers = True

    def __init__(self, run_id: str, writes: WriteList, keys: WriteKeys) -> None:
        self._run_id = run_id
        self._writes = writes
        self._keys = keys

    async def decide(self, request: RecordedRequest) -> Verdict:
        """See `Recorder`."""
        if _passes(request):
            exchange = OpenExchange(request)
            # An id out of a response is not made up by the program: writes that differ in it are different
            # writes.
            self._keys.saw(exchange)
            return exchange
        if is_websocket(request.headers):
            return BlockedRequest(WEBSOCKET)
        return await self.decide_write(request)

    @abstractmethod
    async def decide_write(
        self, request: RecordedRequest, *, summary: str = "", declared: StoredAnswer | None = None
    ) -> OpenExchange | RecordedResponse | BlockedRequest:
        """The verdict on a write. `summary` and `declared` are of the operation of a library service that it calls."""


class DryRunRecorder(JudgingRecorder):
    """The recorder of a dry run: every write is held."""

    def __init__(self, run_id: str, writes: WriteList, earlier: EarlierAnswers, keys: WriteKeys) -> None:
        super().__init__(run_id, writes, keys)
        self._earlier = earlier

    @override
    async def decide_write(
        self, request: RecordedRequest, *, summary: str = "", declared: StoredAnswer | None = None
    ) -> RecordedResponse | BlockedRequest:
        answer, source = await held_answer(request, self._earlier, declared)
        write = held_write(self._run_id, request, self._keys, summary=summary, answered=source)
        number = await self._writes.hold(write)
        if number is None:
            return BlockedRequest(TOO_MANY)
        # Later writes may repeat values of this answer, and the real one will have others.
        self._keys.answered(number, partial(bytes, answer.body))
        return respond(answer, held=True, note=source, bodiless=request.method == "HEAD")


def _passes(request: RecordedRequest) -> bool:
    """Whether a request is sent without a question: it reads, or calls a run, which is judged where it acts."""
    calls = request.channel == "call" and is_run_call(split_url(request.url).path)
    return calls or not request.writes


def held_write(
    run_id: str, request: RecordedRequest, keys: WriteKeys, *, summary: str = "", answered: str = ""
) -> HeldWrite:
    """A write for the list. Its place is the list's to give."""
    key = keys.key(request)
    # The run that applies sends the headers of its own request; a list needs those that explain the body.
    bare = replace(request, headers=stored_headers(request.headers))
    return HeldWrite(
        0,
        run_id,
        bare,
        key.digest,
        why_write(request),
        effect_of(request, summary),
        key.varies,
        answered,
    )
