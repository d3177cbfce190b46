"""Recorders of dry runs and of the runs that apply them, and calls of library services below both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from codewords_mcp.errors import CodewordsError, Conflict, NotFound, WriteHeld
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.json_sample import make_example
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.recording.apply import ApplyRecorder
from codewords_mcp.runtime.recording.dry_run import DryRunRecorder, JudgingRecorder
from codewords_mcp.runtime.recording.exchanges import Exchange, RecordedRequest
from codewords_mcp.runtime.recording.held_answers import (
    EarlierAnswers,
    NoEarlierAnswers,
    best_exchange,
    json_answer,
)
from codewords_mcp.runtime.recording.held_writes import HeldWrite
from codewords_mcp.runtime.recording.recorder import BlockedRequest, OpenExchange
from codewords_mcp.runtime.recording.recording_session import RecorderRegistry, RecordingSession
from codewords_mcp.runtime.recording.write_keys import WriteKeys
from codewords_mcp.runtime.runs.recording_store import RecordingService
from codewords_mcp.runtime.runs.run_recordings import RecordedRun
from codewords_mcp.runtime.runs.write_lists import WriteLists
from codewords_mcp.runtime.services.base import Operation

EARLIER_RUNS: Final = 5
"""Recorded runs of a workflow in which an answer for a held write is looked for."""

FailChain = Callable[[str, CodewordsError], None]
"""`fail_chain(run_id, error)` ends a run and the runs above it."""


@dataclass(frozen=True, slots=True)
class OperationCall:
    """A writing call of a library service, in a run with a mode. `body` is its input as JSON."""

    run_id: str
    request: RunRequest
    service: str
    operation: Operation
    body: bytes


class EarlierRuns:
    """Responses to the last good runs of a workflow; see `EarlierAnswers`. Read when they are first needed."""

    def __init__(self, recordings: RecordingService, owner: str, service_id: str) -> None:
        self._recordings = recordings
        self._owner = owner
        self._service_id = service_id
        self._exchanges: list[Exchange] | None = None

    async def find(self, request: RecordedRequest) -> Exchange | None:
        """See `EarlierAnswers`."""
        if self._exchanges is None:
            self._exchanges = await self._load()
        return best_exchange(request, self._exchanges)

    async def _load(self) -> list[Exchange]:
        infos = await self._recordings.recent(self._owner, self._service_id, EARLIER_RUNS, status="succeeded")
        found: list[Exchange] = []
        for info in infos:
            try:
                # It may have been removed since it was listed, or be damaged.
                recording = await self._recordings.load(self._owner, info.run_id)
            except NotFound:
                continue
            # The latest answer first, as the latest run comes first.
            found += reversed(recording.exchanges)
        return found


class DryRuns:
    """Makes the recorders of the modes `dry_run` and `apply`, and decides about writing calls of services in them."""

    def __init__(
        self,
        lists: WriteLists,
        recordings: RecordingService,
        recorders: RecorderRegistry,
        fail_chain: FailChain,
    ) -> None:
        self._lists = lists
        self._recordings = recordings
        self._recorders = recorders
        self._fail_chain = fail_chain

    def recorder(self, run: RecordedRun) -> JudgingRecorder:
        """The recorder of an attempt at a run of a workflow."""
        servable = run.config.servable
        earlier = EarlierRuns(self._recordings, servable.owner, servable.service_id)
        return self._make(run.run_id, run.request, WriteKeys(run.initial_texts), earlier)

    async def call(self, call: OperationCall, perform: Callable[[], Awaitable[bytes]]) -> bytes:
        """The answer of a writing operation: held, repeated, or performed once somebody agreed to it.

        Raises Conflict, WriteHeld, and whatever `perform` raises.
        """
        recorder, body = self._of_caller(call)
        url = f"http://runtime/run/{call.service}/{call.operation.path}"
        request = RecordedRequest(
            "call", "POST", url, [(b"content-type", b"application/json")], body, writes=True
        )
        schema = call.operation.output.model_json_schema(mode="serialization")
        declared = json_answer(200, make_example(schema))
        verdict = await recorder.decide_write(request, summary=call.operation.summary, declared=declared)
        if isinstance(verdict, BlockedRequest):
            if call.request.mode == "apply":
                # The error by which the run ends tells which write it is.
                raise WriteHeld(f"This call was not made: {verdict.why}.")
            raise Conflict(f"This call was not made: {verdict.why}.")
        if isinstance(verdict, OpenExchange):
            return await _performed(verdict, perform)
        return b"".join([piece async for piece in verdict.pieces])

    def _of_caller(self, call: OperationCall) -> tuple[JudgingRecorder, bytes]:
        """(the recorder of the calling run, the body without values of its secrets)."""
        session: RecordingSession | None = self._recorders.of(call.request.caller.run_id)
        if session is not None and isinstance(session.recorder, JudgingRecorder):
            return session.recorder, session.scrubber.whole(call.body)
        # The calling run has ended, or is another replica's: nothing is known of what it was given.
        return self._make(call.run_id, call.request, WriteKeys(_nothing_known), NoEarlierAnswers()), call.body

    def _make(
        self, run_id: str, request: RunRequest, keys: WriteKeys, earlier: EarlierAnswers
    ) -> JudgingRecorder:
        list_id = request.mode_of or run_id
        writes = self._lists.of(request.caller.owner, list_id)
        if request.mode == "apply":
            return ApplyRecorder(run_id, writes, keys, partial(self._on_held, run_id, list_id))
        return DryRunRecorder(run_id, writes, earlier, keys)

    def _on_held(
        self, run_id: str, dry_run: str, number: int | None, *, sent_before: HeldWrite | None = None
    ) -> None:
        if sent_before is None:
            error = unagreed(dry_run, number)
        else:
            error = unknown(sent_before)
        self._fail_chain(run_id, error)


def unknown(write: HeldWrite) -> WriteHeld:
    """The error of a run that came to a write which an earlier run sent without getting its answer."""
    return WriteHeld(
        f"The run was ended before {write.name}: an earlier run sent it, and its answer is not on record, so whether it was "
        "carried out is unknown.",
        hint="It was not sent again. Look at the host whether it is there; a new dry run asks about the rest anew.",
        remedy=Remedy(RemedyAction.RUN_DRY),
    )


def unagreed(dry_run: str, number: int | None) -> WriteHeld:
    """The error of a run that came to a write which nobody agreed to on the list of a dry run."""
    if number is None:
        place = ""
    else:
        place = f" It is number {number} on the list."
    return WriteHeld(
        f"The run was ended before a write that nobody agreed to.{place}",
        hint="What was sent is not sent again.",
        remedy=Remedy(RemedyAction.APPLY_DRY_RUN, {"run": dry_run}),
    )


async def _performed(exchange: OpenExchange, perform: Callable[[], Awaitable[bytes]]) -> bytes:
    try:
        body = await perform()
        exchange.record_response(200, [(b"content-type", b"application/json")])
        exchange.record_chunk(body)
        exchange.end(whole=True)
    finally:
        # Only the first end counts, so this is the end of a call that failed.
        exchange.end(whole=False)
    return body


def _nothing_known() -> None:
    return None
