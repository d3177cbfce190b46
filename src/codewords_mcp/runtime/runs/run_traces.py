"""Traces of runs: of attempts that go on from their logs in memory, of the others from the store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from codewords_mcp.runtime.recording.attempt_trace import (
    AttemptTrace,
    decode_attempts,
    encode_attempts,
    trace_attempt,
)
from codewords_mcp.runtime.recording.exchange_log import ExchangeLog
from codewords_mcp.runtime.recording.trace import TraceSource
from codewords_mcp.runtime.store import traces as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

MAX_RUNS: Final = 300
"""Runs below a run that its trace shows."""
MAX_WAITING: Final = 50_000
"""Requests of traces that wait for room on the disk. Further traces are lost."""
ExportTrace = Callable[[TraceSource], Awaitable[None]]
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LiveAttempt:
    """An attempt that goes on. `timings` are those of its record, as they grow; `log` is None where nothing is recorded."""

    run_id: str
    number: int
    log: ExchangeLog | None
    timings: Mapping[str, float]
    began: int = field(default_factory=now)

    def trace(self) -> AttemptTrace:
        """The attempt until now."""
        if self.log is None:
            return AttemptTrace(self.number, self.began, dict(self.timings), recorded=False)
        return trace_attempt(self.number, self.log, self.timings)


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """An attempt that has ended, and whose trace is not written yet."""

    run_id: str
    number: int
    stored: AttemptTrace

    def trace(self) -> AttemptTrace:
        """The attempt."""
        return self.stored


@dataclass(frozen=True, slots=True)
class FoundTrace:
    """All that a trace is made of. `log_lines` counts those of the run; `cut`: it started more runs than are shown."""

    source: TraceSource
    log_lines: int
    cut: bool


class RunTraces:
    """The traces of a home's runs. `export` is told each run that has ended; None where nothing is exported."""

    def __init__(self, database: Database, executor: str, export: ExportTrace | None = None) -> None:
        self._db = database
        self._executor = executor
        self._export = export
        self._live: dict[str, LiveAttempt | EndedAttempt] = {}
        self._waiting = 0
        self._exports: set[asyncio.Task[None]] = set()

    def begin(self, attempt: LiveAttempt) -> None:
        """Trace an attempt from its begin on."""
        self._live[attempt.run_id] = attempt

    def end(self, run_id: str, *, owner: str, is_last: bool) -> None:
        """Store the trace of an attempt whose sandbox is gone. `is_last`: the run has ended with it."""
        attempt = self._live.get(run_id)
        if isinstance(attempt, LiveAttempt):
            self._store(attempt, is_first=attempt.number == 1, is_last=is_last)
        if is_last and self._export is not None:
            task = asyncio.create_task(self._export_run(self._export, owner, run_id))
            self._exports.add(task)
            task.add_done_callback(self._exports.discard)

    def _store(self, attempt: LiveAttempt, *, is_first: bool, is_last: bool) -> None:
        trace = attempt.trace()
        # The record has all else that a trace of one attempt says.
        if is_first and is_last and not trace.calls and not trace.connections:
            self._forget(attempt)
            return
        # Until it is written, it is read from here: without the bodies of its requests, since a full disk may take hours.
        ended = EndedAttempt(attempt.run_id, attempt.number, trace)
        self._live[attempt.run_id] = ended
        size = 1 + len(trace.calls)
        if self._waiting + size > MAX_WAITING:
            write = self._db.write_soon
        else:
            write = self._db.write_with_retries
        self._waiting += size
        written = write(rows.keep, attempt.run_id, self._executor, partial(_with_attempt, trace))

        def done(_: asyncio.Future[None]) -> None:
            self._waiting -= size
            self._forget(ended)

        written.add_done_callback(done)

    def _forget(self, attempt: LiveAttempt | EndedAttempt) -> None:
        # The next attempt may have begun.
        if self._live.get(attempt.run_id) is attempt:
            del self._live[attempt.run_id]

    async def find(
        self, owner: str, run_id: str, *, depth: int = 0, limit: int = MAX_RUNS
    ) -> FoundTrace | None:
        """Find all that the trace of a run of this owner is made of; None if there is no such run."""
        # Before the read: an attempt that is written and forgotten between the two would be in neither.
        live = self._live.copy()
        found = await self._db.read(rows.load, run_id, owner, depth=depth, limit=limit)
        if found is None:
            return None

        attempts = {run_id: decode_attempts(body) for run_id, body in found.bodies.items()}
        here: set[str] = set()
        for run in found.runs:
            attempt = live.get(run.id)
            if attempt is None:
                continue
            here.add(run.id)
            earlier = [one for one in attempts.get(run.id, []) if one.number != attempt.number]
            attempts[run.id] = [*earlier, attempt.trace()]

        return FoundTrace(TraceSource(found.runs, attempts, frozenset(here)), found.log_lines, found.cut)

    async def _export_run(self, export: ExportTrace, owner: str, run_id: str) -> None:
        try:
            found = await self.find(owner, run_id)
            if found is not None:
                await export(found.source)
        except Exception:
            log.exception("trace not exported", run_id=run_id)

    async def close(self) -> None:
        """Wait for exports that have begun."""
        if self._exports:
            await asyncio.wait(self._exports)


def _with_attempt(trace: AttemptTrace, stored: bytes | None) -> bytes:
    earlier = [one for one in decode_attempts(stored) if one.number != trace.number]
    return encode_attempts([*earlier, trace])
