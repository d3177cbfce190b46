"""Attempts that go on from the attempt before: what it sent is answered from its journal, and what is new is sent.

No write goes out twice. One that may have gone out and whose answer is not on record is repeated with its idempotency key,
else a person is asked. docs/design/059-resumed-runs.md has the reasons.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.recording.earlier_requests import Earlier, Knowledge, place_of, repeated_header
from codewords_mcp.runtime.recording.exchanges import Headers, RecordedRequest
from codewords_mcp.runtime.recording.journal import (
    Answer,
    JournalEntry,
    RequestJournal,
    RequestKeys,
    may_wait,
    repeat_key,
    takes_our_key,
)
from codewords_mcp.runtime.recording.matching import normal_form
from codewords_mcp.runtime.recording.recorder import BlockedRequest, OpenExchange, RecordedResponse, Verdict
from codewords_mcp.runtime.recording.write_keys import bare_digest, exact_digest
from codewords_mcp.runtime.recording.writes import is_websocket, kind_of

WEBSOCKET: Final = (
    "it opens a websocket, whose messages cannot be put on record one by one: "
    "a run with `resume = true` cannot use one"
)
OVER: Final = "its attempt is over"
ASKING: Final = "a person is asked about an earlier write first"
SUSPENDED: Final = "the run waits, and goes on later"
NO_RECORD: Final = "it could not be put on record first"
SETTLE_SECONDS: Final = 10.0
"""Seconds for what is on its way to be answered, before a run ends with a question: else it would be asked about too."""
MAX_READS: Final = 5000
"""Requests of an attempt after which only writes are put on record: a program may poll for days."""


class ResumeRecorder:
    """The recorder of an attempt at a run that may be resumed.

    `on_unknown(entries)` ends the run with a question about these writes, `on_no_record(error)` since a write cannot be put
    on record.
    """

    answers = True

    def __init__(
        self,
        run_id: str,
        earlier: Iterable[JournalEntry],
        journal: RequestJournal,
        knowledge: Knowledge,
        on_unknown: Callable[[Sequence[JournalEntry]], None],
        on_no_record: Callable[[StorageFailed], None],
        *,
        clock: Callable[[], float] = time.time,
        max_reads: int = MAX_READS,
    ) -> None:
        self._run_id = run_id
        self._earlier = Earlier(earlier, knowledge)
        self._journal = journal
        self._knowledge = knowledge
        self._clock = clock
        self._max_reads = max_reads
        self._on_unknown = on_unknown
        self._on_no_record = on_no_record
        self._count = 0
        self._wrote = False
        self._questions: dict[tuple[int, int], JournalEntry] = {}
        """Writes that a person is asked about, by their places."""
        self._writing: set[int] = set()
        self._open: dict[int, str] = {}
        """Requests on their way, but for calls that wait, with their keys."""
        self._waiting: dict[str, int] = {}
        """Calls that wait, by their keys; the values are those of `_open`."""
        self._unanswered: dict[str, JournalEntry] = {}
        """Calls that the runtime failed to answer, by their exact keys: made again, they are sent by the same key."""
        self._suspended = False
        self._question_sent = asyncio.Event()
        self._all_answered = asyncio.Event()
        self._all_answered.set()

    async def decide(self, request: RecordedRequest) -> Verdict:
        """See `Recorder`."""
        if is_websocket(request.headers):
            return BlockedRequest(WEBSOCKET)
        if self._suspended:
            return BlockedRequest(SUSPENDED)
        is_write = request.writes or kind_of(request) == "write" or may_wait(request)
        keys = self._keys_of(request)
        entry = self._earlier.take(request, keys) or self._unanswered.pop(keys.exact, None)
        if is_write:
            return await self._decide_write(request, keys, entry)
        if entry is not None and entry.answer is not None:
            if self._is_fresh(entry, entry.answer):
                return self._answer(entry, entry.answer)
            # The attempt after this one gets the newer answer.
            self._journal.drop(entry)
        return self._send(self._entry(request, keys, is_write=False))

    def _is_fresh(self, entry: JournalEntry, answer: Answer) -> bool:
        """Whether a read may be answered from the record: a write that may depend on it is to come again, or it was answered
        well and this attempt has changed nothing since.
        """
        return self._earlier.write_after(entry) or not (self._wrote or answer.failed)

    def suspend(self, waiting: Collection[str] = ()) -> bool:
        """Send nothing more, since the run is to give its sandbox back. False while something is on its way.

        `waiting` are keys of calls that may be broken off, since the next attempt finds the runs that they have started.
        """
        if self._questions or any(key not in waiting for key in self._open.values()):
            return False
        self._suspended = True
        return True

    def expect_answer(self, key: str) -> None:
        """A call that waits, of this key, has its answer: until the program has it, it is on its way like any other request."""
        if key in self._waiting:
            self._open[self._waiting[key]] = key

    async def _decide_write(
        self, request: RecordedRequest, keys: RequestKeys, entry: JournalEntry | None
    ) -> Verdict:
        # A wait is found again by its key or address, whatever its call says: nothing about it is in doubt.
        if entry is None and may_wait(request):
            return await self._begin(self._entry(request, keys, is_write=True))
        if entry is None:
            doubtful = self._earlier.doubtful(request, keys)
            if doubtful is None:
                return await self._begin(self._entry(request, keys, is_write=True))
            if doubtful.state != "sent":
                return await self._ask(doubtful, *self._earlier.in_doubt_with(doubtful))
            entry = doubtful

        # Requests whose bodies were not read may differ in them, so none is answered for another.
        answer = entry.answer if request.body is not None else None
        # A failure that the program went on from is given again. The one that it failed of, perhaps, is not.
        if answer is not None and (not answer.failed or self._earlier.anything_after(entry)):
            return self._answer(entry, answer)
        if entry.state == "sent":
            return _sent_answer(request)
        if answer is not None and answer.refused:
            self._journal.drop(entry)
            return await self._begin(self._entry(request, keys, is_write=True))
        if (headers := repeated_header(entry, request)) is not None:
            if takes_our_key(request) and await self._journal.answer_is_lost(entry):
                return await self._ask(entry)
            if self._questions:
                return await self._refuse()
            self._wrote = True
            return self._send(entry, headers, request)
        return await self._ask(entry)

    async def _begin(self, entry: JournalEntry) -> Verdict:
        """Send a write, once it is on record that it may have been sent."""
        if self._questions:
            return await self._refuse()
        try:
            is_current = await self._journal.begin(entry)
        # It ended before a byte was sent, so its row must raise no question later.
        except asyncio.CancelledError:
            self._journal.drop(entry)
            raise
        except StorageFailed as error:
            self._on_no_record(error)
            return BlockedRequest(NO_RECORD)
        # Another process makes the attempts now, and would send the same.
        if not is_current:
            return BlockedRequest(OVER)
        # Asked again, since either may have come while the row was written.
        if self._questions or self._suspended:
            self._journal.drop(entry)
            return BlockedRequest(SUSPENDED) if self._suspended else await self._refuse()
        self._wrote = True
        return self._send(entry, _own_key(entry))

    def _send(
        self, entry: JournalEntry, headers: Headers | None = None, request: RecordedRequest | None = None
    ) -> OpenExchange:
        exchange = OpenExchange(
            request or entry.request, on_end=partial(self._ended, entry), sends=headers or []
        )
        self._knowledge.saw(exchange)
        # The run gives its sandbox back for such a call, which therefore must not count as on its way.
        if may_wait(entry.request):
            self._waiting[entry.repeat_key] = id(exchange)
            return exchange
        self._open[id(exchange)] = entry.repeat_key
        if entry.is_write:
            self._writing.add(id(exchange))
            self._all_answered.clear()
        return exchange

    def _ended(self, entry: JournalEntry, exchange: OpenExchange) -> None:
        self._open.pop(id(exchange), None)
        if self._waiting.get(entry.repeat_key) == id(exchange):
            del self._waiting[entry.repeat_key]
        self._writing.discard(id(exchange))
        if not self._writing:
            self._all_answered.set()
        if exchange.whole:
            # A program may poll for days, and each answer is a row.
            if entry.is_write or entry.number < self._max_reads:
                self._journal.complete(entry, exchange)
        # By its key a run is found that the call has started nevertheless.
        elif exchange.no_answer and takes_our_key(entry.request):
            self._unanswered[entry.keys.exact] = entry
        # Only a row of this attempt: an earlier one may have sent the same write.
        elif exchange.unsent and entry.is_write and entry.attempt == self._journal.attempt:
            self._journal.drop(entry)

    def _answer(self, entry: JournalEntry, answer: Answer) -> RecordedResponse:
        # The program knows what is in it: an id that was in an answer is not made up.
        known = OpenExchange(entry.request, status=answer.status, headers=answer.headers, whole=True)
        known.chunks.append((0.0, bytearray(answer.body)))
        self._knowledge.saw(known)
        if entry.attempt > 0:
            note = f"attempt {entry.attempt} has done it"
        else:
            note = "an earlier run has done it"
        pieces = _once(answer.body)
        return RecordedResponse(answer.status, answer.headers, pieces, note=note, earlier_body=answer.body)

    async def _ask(self, *entries: JournalEntry) -> BlockedRequest:
        """End the run with a question about these writes and all that are unknown, when what is on its way has its answer."""
        is_first = not self._questions
        self._questions.update((one.place, one) for one in entries)
        if not is_first:
            return await self._refuse()
        try:
            await self._send_question()
        finally:
            self._question_sent.set()
        return BlockedRequest(ASKING)

    async def _send_question(self) -> None:
        # Each answer that still comes is a question less.
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._all_answered.wait()
        self._questions.update((one.place, one) for one in self._earlier.unknown_writes())
        for one in self._earlier.unanswered_calls():
            if await self._journal.answer_is_lost(one):
                self._questions[one.place] = one
        questions = sorted(self._questions.values(), key=place_of)
        await self._journal.ask(questions)
        self._on_unknown(questions)

    async def _refuse(self) -> BlockedRequest:
        """Refuse a write once the question ends the run: a program that fails of the refusal before that would end it instead."""
        await self._question_sent.wait()
        return BlockedRequest(ASKING)

    def _entry(self, request: RecordedRequest, keys: RequestKeys, *, is_write: bool) -> JournalEntry:
        number = self._count
        self._count += 1
        key = repeat_key(request)
        if is_write and not key and takes_our_key(request):
            # By a key of ours a run that this call has started is found, and not started again.
            key = f"{self._run_id}/{self._journal.attempt}/{number}"
        began = round(self._clock() * 1e6)
        return JournalEntry(self._journal.attempt, number, "begun", request, keys, is_write, key, began=began)

    def _keys_of(self, request: RecordedRequest) -> RequestKeys:
        if request.body is None:
            # Too long to be compared: two of one address may be the same.
            route = hashlib.sha256(f"{request.channel} {request.method} {request.url}".encode()).hexdigest()
            return RequestKeys(route, route, route)
        form = normal_form(request)
        text = repr((form.route, form.fields)).encode()
        return RequestKeys(
            exact_digest(request), bare_digest(request, self._clock()), hashlib.sha256(text).hexdigest()
        )


def _own_key(entry: JournalEntry) -> Headers:
    """The header by which the runtime knows a call again, where the program sent none."""
    if entry.repeat_key and takes_our_key(entry.request) and not repeat_key(entry.request):
        return [(b"idempotency-key", entry.repeat_key.encode())]
    return []


def _sent_answer(request: RecordedRequest) -> RecordedResponse:
    body = json.dumps({"sent": True, "message": "Sent by an earlier attempt; its answer is lost."}).encode()
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    pieces = _once(b"" if request.method == "HEAD" else body)
    # RFC 9110, 15.3.3: it was accepted, and what came of it is not known.
    return RecordedResponse(202, headers, pieces, note="a person said that it was sent")


async def _once(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body


def completed(entry: JournalEntry, exchange: OpenExchange) -> JournalEntry:
    """The entry with the answer of an exchange that has ended."""
    ended = entry.began
    if exchange.ended_at is not None:
        ended += round((exchange.ended_at - exchange.began_at) * 1e6)
    return replace(
        entry,
        state="done",
        answer=Answer(exchange.status, exchange.headers, exchange.body),
        ended=ended,
        usage=exchange.usage,
    )
