"""The record of one attempt: its begin, its program's readiness, its outcome, and its usage.

Everything is written for as long as this process holds the run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import CodewordsError, WriteHeld, WriteUnknown
from codewords_mcp.runtime.model.run_columns import AttemptEntry, FinalStatus, RunColumns, StepEntry
from codewords_mcp.runtime.model.run_state import (
    close_attempts,
    open_attempt,
    to_finished,
    to_queued,
    to_running,
    to_starting,
    to_suspended,
)
from codewords_mcp.runtime.recording.exchanges import RunMessage
from codewords_mcp.runtime.runs.attempt_setup import AttemptSetup
from codewords_mcp.runtime.runs.input import RequestReader
from codewords_mcp.runtime.runs.request_headers import Headers
from codewords_mcp.runtime.runs.result_files import CollectedResponse
from codewords_mcp.runtime.runs.results import (
    CapturedBody,
    RunSuspended,
    WorkflowResponse,
    egress_record,
    error_record,
    failed_by_itself,
    final_status,
    interrupted,
    response_record,
    settle_if_refused,
    unreadable,
)
from codewords_mcp.runtime.runs.slots import NotOurs
from codewords_mcp.runtime.sandboxes.base import Usage
from codewords_mcp.runtime.secrets.scrub import Scrubber
from codewords_mcp.runtime.store import requests, run_waits
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store import usage as sums
from codewords_mcp.runtime.store.clock import now

log = structlog.get_logger(__name__)
RETRIED = frozenset({"failed", "timed_out", "interrupted"})
"""Outcomes after which a run that asks for retries is tried again."""


class AttemptRecord:
    """`outcome` is the status that the attempt ended with; `settled` is set when that is written, or about to be."""

    def __init__(self, setup: AttemptSetup, reader: RequestReader, scrubber: Scrubber) -> None:
        context = setup.context
        self.settled = asyncio.Event()
        self.outcome: FinalStatus | None = None
        self.attempts: list[AttemptEntry] = list(setup.info.earlier)
        self._setup = setup
        self._db = context.database
        self._executor = context.registry.executor
        self._response_files = context.response_files
        self._reader = reader
        self._scrubbers = [scrubber, *context.registry.scrubbers_above(setup.request.caller)]
        self._written = setup.written
        self._response: WorkflowResponse | None = None
        self._captured = CapturedBody(context.settings.max_response_kept)
        self._collected: CollectedResponse | None = None
        self._collects = False
        self._lost = False
        self.suspended = False
        """The run gives its sandbox back, and goes on with another attempt when its wait is over."""
        self._suspension = RunColumns()
        self._created_at = time.perf_counter()
        self._started_at: int | None = None
        self._running_at: int | None = None
        self._running: asyncio.Future[None] | None = None
        self._timings: dict[str, float] = {}
        self._isolation: str | None = None
        self._error_code = ""

    @property
    def retried(self) -> bool:
        """Whether another attempt is to follow."""
        if self._error_code in {WriteHeld.code, WriteUnknown.code}:
            # A person is asked first.
            return False
        return self.outcome in RETRIED and self._setup.info.remaining > 0 and not self._lost

    @property
    def is_final(self) -> bool:
        """Whether the run has ended with this attempt."""
        return self.outcome is not None and not self.retried and not self._lost

    @property
    def timings(self) -> Mapping[str, float]:
        """The milliseconds of each phase until now. They go on."""
        return self._timings

    @property
    def error_code(self) -> str:
        """The code of the error that the attempt ended with; "" without one."""
        return self._error_code

    @property
    def response_message(self) -> RunMessage:
        """The answer, without a body that is longer than the record keeps."""
        if self._response is None:
            return RunMessage()
        if self._captured.truncated:
            body = None
        else:
            body = bytes(self._captured.data)
        return RunMessage("", "", self._response.status, list(self._response.headers), body)

    # on the way

    def begin(self) -> None:
        """The attempt has a slot, and takes a sandbox."""
        setup, self._started_at = self._setup, now()
        self._timings["queued"] = self._elapsed()
        if setup.queued:
            values = to_starting(self._started_at, self._attempts(None))
            values["version"] = setup.config.servable.version
            values["retries"] = setup.info.number - 1 + setup.info.remaining
            self._written = self._db.write_soon(self._write_begin, values)

    def _write_begin(self, connection: Connection, values: RunColumns) -> None:
        self._lost = not rows.change(connection, self._setup.run_id, values, holder=self._executor)

    async def written(self) -> None:
        """Wait until the begin is on record. Raises NotOurs if another process has the run: it begins it too."""
        if self._written is not None:
            if not self._written.done():
                self._db.hurry()
            await self._written
        if self._lost:
            raise NotOurs

    def mark(self, name: str) -> None:
        """Note the time that a phase took, up to now."""
        self._timings[name] = round(self._elapsed() - sum(self._timings.values()), 2)

    def isolated_by(self, tier: str) -> None:
        """The attempt has a sandbox of this isolation level."""
        self._isolation = tier
        self.mark("sandbox")

    def running(self, tier: str) -> None:
        """The program serves the request."""
        self._running_at = now()
        # Soon after it the outcome is written, which says it too.
        self._running = self._db.write_passing(
            rows.change,
            self._setup.run_id,
            to_running(self._running_at, tier),
            only_from=("starting",),
            holder=self._executor,
        )

    def respond(self, response: WorkflowResponse, *, collect: bool = True) -> None:
        """The workflow answers; with `collect`, a body that is binary or too long for the record becomes a file."""
        self._response, self._collects = response, collect
        if collect:
            self._collected = self._response_files.collect(self._setup.run_id, response.headers)

    async def capture(self, chunk: bytes) -> None:
        """Keep a part of the body, as far as the record has place for it."""
        overflows = self._captured.overflows(chunk)
        if overflows and self._collects and self._collected is None and self._response is not None:
            # What was held as text so far is the beginning of the file.
            beginning, headers = bytes(self._captured.data), self._response.headers
            self._collected = await self._response_files.collect_long(self._setup.run_id, headers, beginning)
        self._captured.add(chunk)
        if self._collected is not None:
            await self._collected.add(chunk)

    # the end

    async def settle(self, error: CodewordsError | None) -> None:
        """Write the outcome. A later reader finds it, and the output that was printed before the response."""
        if self.settled.is_set():
            return

        if self._running is not None:
            self._running.cancel()
        if isinstance(error, RunSuspended):
            await self._suspend(error)
            return

        run_log, response, whole = self._setup.run_log, self._response, error is None
        if run_log.call_broken and failed_by_itself(error, response):
            error = interrupted()  # it could not know, and is taken up again where that was asked for
        try:
            await run_log.flush()
            values = self._outcome_columns(error)
            values.update(response_record(response, self._captured, whole=whole))
            values["input"] = self._reader.record(self._scrubbers)
            if error is None and response is not None and not self.retried:
                values.update(await self._file_columns(response.headers))
        except Exception:
            log.exception("run not settled as expected", run_id=self._setup.run_id)
            values = self._outcome_columns(unreadable())

        self.attempts = values.get("attempts", [])
        self._write_outcome(values)
        self.settled.set()
        run_log.settled()

    async def _suspend(self, suspension: RunSuspended) -> None:
        """End the attempt of a run that waits. `release` writes it, when its sandbox is gone and its usage known."""
        # The clock may have been set back since the start.
        setup, ended_at = self._setup, max(now(), self._started_at or 0)
        # Before the wait is on record: the next attempt, perhaps in another replica, numbers its
        # lines after the last stored one.
        await setup.run_log.flush()
        self.suspended = True
        self._timings["total"] = self._elapsed()
        self.attempts = close_attempts(self._attempts(None), ended_at, "suspended")
        retries = setup.info.number - 1 + setup.info.remaining
        self._suspension = to_suspended(suspension.waits_for, self.attempts, retries)
        self._suspension.update(
            {"isolation": self._isolation, "timings": self._timings, "steps": self._steps()}
        )
        self.settled.set()
        setup.run_log.settled()

    def release(self) -> None:
        """Write that a suspended run waits without a sandbox; nothing for another run."""
        if self._suspension:
            values, self._suspension = self._suspension, RunColumns()
            journal = self._setup.info.journal
            passed = () if journal is None else journal.over
            self._db.write_with_retries(run_waits.suspend, self._setup.run_id, values, passed, self._executor)

    async def _file_columns(self, headers: Headers) -> RunColumns:
        if self._captured.truncated:
            whole = None
        else:
            whole = bytes(self._captured.data)
        setup = self._setup
        return await self._response_files.store(setup.run_id, setup.request, headers, self._collected, whole)

    def _outcome_columns(self, error: CodewordsError | None) -> RunColumns:
        """The columns of a run that ended so, but for its answer."""
        ended_at = max(now(), self._started_at or 0)  # also where the clock was set back meanwhile
        self._timings["total"] = self._elapsed()
        self.outcome = status = final_status(error, self._response)
        attempts, error_entry = self._attempts(status, ended_at), error_record(error, self._response)

        if error_entry is not None:
            self._error_code = error_entry["code"]
        if self.retried:
            columns = to_queued("retry", attempts=attempts, started_at=self._started_at)
            columns["error"] = error_entry
        else:
            columns = to_finished(status, error_entry, ended_at, attempts)
            columns["started_at"] = self._started_at
            columns["running_at"] = self._running_at

        columns["isolation"] = self._isolation
        columns["timings"] = self._timings
        columns["steps"] = self._steps()
        columns["usage"] = egress_record(self._setup.config.egress, self._setup.run_log)
        return columns

    def _write_outcome(self, values: RunColumns) -> None:
        run_id = self._setup.run_id
        # A run that ended with a question is taken up again from its request.
        asks = self._error_code == WriteUnknown.code
        over = self._setup.request.background and not self.retried and not asks

        forget = requests.remove if self._setup.info.journal is None else requests.forget

        def write(connection: Connection) -> None:
            took = rows.change(connection, run_id, values, holder=self._executor)
            if took and over:  # a process that has taken the run over needs its request
                forget(connection, run_id)

        written = self._db.write_with_retries(write)
        settle_if_refused(self._db, written, run_id, self._executor)

    def add_usage(self, usage: Usage) -> None:
        """The sandbox is gone: record what this attempt used, and add it to what all attempts used."""
        setup = self._setup
        summed = sums.SummedUsage(
            usage.cpu_seconds, usage.peak_memory, usage.cost, usage.egress_in, usage.egress_out
        )
        used = egress_record(setup.config.egress, setup.run_log, summed)
        used |= {"wall_seconds": usage.wall_seconds, "cpu_seconds": usage.cpu_seconds}
        used["peak_memory"] = usage.peak_memory
        if usage.cost is not None:  # of a machine that is rented
            used["cost"] = usage.cost

        # With the last lines of the log.
        self._db.write_later(
            sums.add, setup.run_id, self._executor, used=used, steps=self._steps(), summed=summed
        )

    def _attempts(self, outcome: FinalStatus | None, ended_at: int = 0) -> list[AttemptEntry]:
        """Return the column `attempts`: the earlier ones, and this one if it has started."""
        info = self._setup.info
        if self._started_at is None:
            return list(info.earlier)

        attempts = [*info.earlier, open_attempt(info.number, self._started_at)]
        if outcome is None:
            return attempts
        return close_attempts(attempts, ended_at, outcome)

    def _steps(self) -> list[StepEntry]:
        steps = self._setup.run_log.steps
        return [{"id": step.id, "at": round(step.at.timestamp() * 1e6)} for step in steps]

    def _elapsed(self) -> float:
        return round((time.perf_counter() - self._created_at) * 1000, 2)
