"""The recorder of each attempt at a run, and what is stored of it when it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from codewords_mcp.runtime.egress.intercept.interception import Interception
from codewords_mcp.runtime.model.recording import RecordingPolicy
from codewords_mcp.runtime.model.run import ExecutionMode, RunRequest
from codewords_mcp.runtime.model.run_columns import FinalStatus
from codewords_mcp.runtime.recording.earlier_requests import Knowledge
from codewords_mcp.runtime.recording.exchange_log import ExchangeLog
from codewords_mcp.runtime.recording.exchanges import Recording, RunMessage, cost_of
from codewords_mcp.runtime.recording.recorder import LiveRecorder, Recorder
from codewords_mcp.runtime.recording.recording_session import RecorderRegistry, RecordingSession
from codewords_mcp.runtime.recording.stream_scrubber import StreamScrubber
from codewords_mcp.runtime.runs.input import RequestReader
from codewords_mcp.runtime.runs.launcher import LaunchConfig
from codewords_mcp.runtime.runs.recording_store import RecordingService
from codewords_mcp.runtime.runs.request_headers import AUTH, HOP_BY_HOP, OURS, Headers, target_of
from codewords_mcp.runtime.runs.run_journals import AttemptJournal
from codewords_mcp.runtime.runs.run_plan import RunPlan
from codewords_mcp.runtime.secrets.scrub import Scrubber
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.settings import Settings


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """An attempt at a run, as its recorder needs to know it."""

    run_id: str
    request: RunRequest
    config: LaunchConfig
    attempt: int
    reader: RequestReader
    plan: RunPlan | None = None
    tell: Callable[[str], None] | None = None
    """Writes a line into the run's log."""
    journal: AttemptJournal | None = None
    """Of an attempt that may be resumed by the next one."""

    def initial_texts(self) -> Sequence[bytes] | None:
        """The texts that the program knows from the start: its code and its input. None where that is too long to be kept."""
        body = self.reader.body
        if body is None:
            return None
        return (self.config.servable.code.encode(), body)


RecorderFactory = Callable[[RecordedRun], Recorder]
"""Makes the recorder of an attempt."""

log = structlog.get_logger(__name__)


def needs_own_sandbox(request: RunRequest, journal: AttemptJournal | None) -> bool:
    """Whether a run's sandbox must start with its recorder, as of a dry run: nothing of it may have been sent before."""
    return request.mode is not None or journal is not None


class AttemptRecording:
    """The recorder of one attempt, from before its sandbox starts until its sandbox is gone."""

    def __init__(
        self, run: RecordedRun, scrubber: Scrubber, recorder: Recorder, registry: RecorderRegistry
    ) -> None:
        self.log = ExchangeLog()
        self.dedicated = needs_own_sandbox(run.request, run.journal)
        self.session = RecordingSession(
            recorder, scrubber, self.log, tell=run.tell, judged_only=self.dedicated
        )
        self.run = run
        self._registry = registry
        self._created_at = now()
        self._interception: Interception | None = None
        registry.add(run.run_id, self.session)

    def bind(self, interception: Interception | None, startup: ExchangeLog | None = None) -> None:
        """Record what this sandbox sends; `startup` is what its program sent before the run came."""
        if startup is not None:
            self.log.adopt(startup)
        if interception is not None:
            interception.recording = self.session
            self._interception = interception

    def unbind(self) -> None:
        """Record nothing more: the sandbox is gone."""
        self._registry.remove(self.run.run_id)
        # What a judged sandbox had on its way when it ended is judged too.
        if self._interception is not None and not self.dedicated:
            self._interception.recording = None

    def recording(self, response: RunMessage, status: FinalStatus, error: str) -> Recording:
        """Return what was recorded."""
        run = self.run
        servable = run.config.servable
        clean = self.session.scrubber.whole
        body = run.reader.body
        request = RunMessage(
            run.request.method,
            clean(target_of(run.request)).decode("latin-1"),
            0,
            recorded_headers(run.request.headers, self.session.scrubber),
            None if body is None else clean(body),
        )
        exchanges = self.log.exchanges()
        return Recording(
            run.run_id,
            servable.service_id,
            servable.version,
            self._created_at,
            status,
            request,
            response,
            exchanges,
            self.log.connections(),
            error,
            time.monotonic() - self.log.began_at,
            cost_of(exchanges),
            truncated=self.log.truncated,
        )


class RunRecordings:
    """Begins the recording of attempts, as settings and headers say, and stores them.

    `recorders` makes the recorders of the modes; an ordinary run has a `LiveRecorder`, and a planned one that of its plan.
    """

    def __init__(
        self,
        service: RecordingService,
        registry: RecorderRegistry,
        settings: Settings,
        recorders: Mapping[ExecutionMode, RecorderFactory],
    ) -> None:
        self._service = service
        self._registry = registry
        self._policy: RecordingPolicy = settings.record
        self._recorders = recorders

    def begin(self, run: RecordedRun, scrubber: Scrubber) -> AttemptRecording | None:
        """Begin the recording of an attempt; None for a run that is not recorded."""
        mode = run.request.mode
        # Before the policy is asked: the next attempt needs the journal, recorded or not.
        if run.journal is not None:
            resumed = run.journal.recorder(run.run_id, Knowledge(run.initial_texts))
            return AttemptRecording(run, scrubber, resumed, self._registry)

        servable = run.config.servable
        # A shared sandbox serves several runs at once, and its requests do not say which is theirs.
        if mode is None and (servable.recording_policy(self._policy) == "off" or servable.keep_warm):
            return None

        if run.plan is not None:
            recorder: Recorder = run.plan.recorder
        elif mode is None:
            recorder = LiveRecorder()
        else:
            recorder = self._recorders[mode](run)
        return AttemptRecording(run, scrubber, recorder, self._registry)

    async def store(
        self, attempt: AttemptRecording, response: RunMessage, status: FinalStatus, error: str
    ) -> None:
        """Store what an attempt recorded, if it is to be kept. Never raises.

        That of a planned run is for who planned it.
        """
        run = attempt.run
        try:
            if run.plan is not None:
                run.plan.finish(attempt.recording(response, status, error))
            elif self._keeps(run, status):
                await self._service.store(
                    run.request.caller.owner,
                    attempt.recording(response, status, error),
                    mode=run.request.mode,
                    replaces=run.attempt > 1,
                )
        except Exception:
            # A recording is never worth a run.
            log.exception("recording not stored", run_id=run.run_id)
            if run.plan is not None:
                run.plan.fail()

    async def store_journal(self, run: RecordedRun, recording: Recording, status: FinalStatus) -> None:
        """Store a recording that was made of a run's journal, in place of those of its attempts. Never raises."""
        try:
            if self._keeps(run, status):
                await self._service.store(
                    run.request.caller.owner, recording, mode=run.request.mode, replaces=True
                )
        except Exception:
            # A recording is never worth a run.
            log.exception("recording not stored", run_id=run.run_id)

    def _keeps(self, run: RecordedRun, status: FinalStatus) -> bool:
        policy = run.config.servable.recording_policy(self._policy)
        if policy == "off":
            # A dry run is made to be looked at. Runs that send something follow the policy.
            return run.request.mode not in {"apply", "resume", None}
        return policy != "failures" or status != "succeeded"


def recorded_headers(headers: Headers, scrubber: StreamScrubber) -> Headers:
    """The request's headers without keys, and without those of the connection and of the runtime."""
    left_out = AUTH | HOP_BY_HOP | OURS
    return [(name, scrubber.whole(value)) for name, value in headers if name.lower() not in left_out]
