"""One run from its place in the queue to its destroyed sandbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import (
    CodewordsError,
    ProgramFailed,
    RunCancelled,
    RunInterrupted,
    RunTimedOut,
    SandboxFailed,
)
from codewords_mcp.remedies import set_secret
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.model.run_state import (
    AttemptEntry,
    FinalStatus,
    close_attempts,
    open_attempt,
    to_finished,
    to_queued,
    to_running,
    to_starting,
)
from codewords_mcp.runtime.runs.attempt_info import AttemptInfo
from codewords_mcp.runtime.runs.cancellation import cancel_until_done
from codewords_mcp.runtime.runs.input import RequestReader
from codewords_mcp.runtime.runs.launcher import LaunchConfig
from codewords_mcp.runtime.runs.lease import Lease
from codewords_mcp.runtime.runs.request_headers import to_caller, to_workflow, value_of
from codewords_mcp.runtime.runs.response_stream import ResponseStream
from codewords_mcp.runtime.runs.result_files import CollectedResponse, ResponseFiles
from codewords_mcp.runtime.runs.results import (
    CapturedBody,
    WorkflowResponse,
    egress_record,
    error_record,
    failed_by_itself,
    final_status,
    interrupted,
    response_record,
    settle_if_refused,
    unreadable,
    what_limits,
)
from codewords_mcp.runtime.runs.run_logs import RunLog
from codewords_mcp.runtime.runs.sandbox_allocator import SandboxAllocator
from codewords_mcp.runtime.runs.slots import NotOurs
from codewords_mcp.runtime.sandboxes import http1
from codewords_mcp.runtime.sandboxes.base import Sandbox, Usage
from codewords_mcp.runtime.secrets.scrub import Scrubber
from codewords_mcp.runtime.store import requests
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store import usage as sums
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.workflows.script_facts import COOKIES

log = structlog.get_logger(__name__)
EXPLAIN_WAIT = 2.0
"""Seconds to wait for a sandbox's end to explain a broken connection."""
RETRIED = frozenset({"failed", "timed_out", "interrupted"})
"""Outcomes after which a run that asks for retries is tried again."""


class Execution:
    """One attempt at a run, in flight. `attempt()` is its whole life and never raises; `response` goes
    to the caller. Everything that it writes is for as long as `executor` holds the run.
    """

    def __init__(
        self,
        run_id: str,
        request: RunRequest,
        *,
        database: Database,
        run_log: RunLog,
        timeout: float,
        max_captured: int,
        config: LaunchConfig,
        allocator: SandboxAllocator,
        recorded: asyncio.Future[Any],
        queued: bool,
        correlation_id: str,
        executor: str,
        response_files: ResponseFiles,
        depth: int = 0,
        info: AttemptInfo | None = None,
        scrubbers_above: Sequence[Scrubber] = (),
    ) -> None:
        self.run_id = run_id
        self.depth = depth
        self.key_id = request.caller.key_id
        self.request = request
        self.response = ResponseStream()
        self.settled = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._db = database
        self.run_log = run_log
        self.timeout = timeout
        self._config = config
        self._allocator = allocator
        self._recorded = recorded
        self._queued = queued
        self.scrubber = Scrubber(config.secrets)
        self._reader = RequestReader(request)
        self.correlation_id = correlation_id
        self._captured = CapturedBody(max_captured)
        self._response_files = response_files
        self._collected: CollectedResponse | None = None
        self._workflow_response: WorkflowResponse | None = None
        self._executor = executor
        self._info = info or AttemptInfo()
        self._scrubbers_above = scrubbers_above
        self.outcome: FinalStatus | None = None
        """The status that this attempt ended with."""
        self._cancelled = ""
        self._stopped = False
        self._lost = False
        self._finishing = False
        self._created_at = time.perf_counter()
        self._started_at: int | None = None
        self._timings: dict[str, float] = {}
        self._isolation: str | None = None

    def cancel(self, why: str) -> None:
        """End the run soon; wait for `settled` and the task."""
        if self._cancelled or self._finishing or self.task is None:
            return
        self._cancelled = why
        cancel_until_done(self._try_cancel)

    def _try_cancel(self) -> bool:
        if self._finishing or self.task is None or self.task.done():
            return False
        self.task.cancel()
        return True

    def stop(self) -> None:
        """The runtime is ending: the run is interrupted."""
        self._stopped = True
        self.cancel("the runtime is stopping")

    @property
    def again(self) -> bool:
        """Whether another attempt is to follow."""
        return self.outcome in RETRIED and self._info.remaining > 0 and not self._lost

    async def attempt(self) -> None:
        """Take a sandbox, get the answer, settle, clean up. Never raises, but for being cancelled while cleaning."""
        error: CodewordsError | None = None
        lease: Lease | None = None

        try:
            async with asyncio.timeout(self.timeout):
                self._begin()
                if self.request.background:
                    await self._on_record()  # that it was tried is known before anything happens
                lease = await self._take()
                if not lease.shared:
                    await self._on_record()  # what reaches its sandbox is on record first
                await self._serve(lease)
                await self._settle(None)
                await self._pass_chunk(None)
        except TimeoutError:
            error = self._timed_out()
        except asyncio.CancelledError:
            error = self._broken_off()
        except NotOurs:
            error = RunInterrupted("The run was taken over while it waited.")
        except CodewordsError as failure:
            error = failure
        except Exception:
            log.exception("run failed in the runtime", run_id=self.run_id)
            error = SandboxFailed(
                "The runtime failed while it ran this workflow.", hint="The runtime's log has the details."
            )

        await self._finish(lease, error)

    async def refuse(self, error: CodewordsError) -> None:
        """Settle a run that never started."""
        await self._finish(None, error)

    async def _on_record(self) -> None:
        if not self._recorded.done():
            self._db.hurry()
        await self._recorded
        if self._lost:  # what is not on record must not happen: who has taken the run over begins it too
            raise NotOurs

    def _change(
        self, values: dict[str, Any], only_from: tuple[str, ...] | None = None
    ) -> asyncio.Future[None]:
        return self._db.write_soon(
            rows.change, self.run_id, values, only_from=only_from, holder=self._executor
        )

    def _broken_off(self) -> CodewordsError:
        if self._stopped:
            return interrupted()
        return RunCancelled(f"The run was cancelled: {self._cancelled or 'the runtime is stopping'}.")

    def _timed_out(self) -> RunTimedOut:
        hint, remedy = what_limits(self.request, self._config.servable.timeout)
        return RunTimedOut(
            f"The workflow did not finish within {self.timeout:g} s; its sandbox was ended.",
            hint=hint,
            remedy=remedy,
        )

    async def _take(self) -> Lease:
        caller = Caller(self.request.caller.owner, "run", self.request.caller.key_id, self.run_id)
        lease = await self._allocator.take(self._config, caller, self.run_log)
        self._isolation = lease.tier
        self._mark("sandbox")
        for name in self._config.missing:
            # not a refusal: a program may declare what it only sometimes needs
            self.run_log.write_platform_line(f"{name} is declared but has no value. {set_secret(name).words}")
        return lease

    def _begin(self) -> None:
        self._started_at = now()
        self._timings["queued"] = self._elapsed()
        if self._queued:
            values = to_starting(self._started_at, self._attempts(None)) | {
                "version": self._config.servable.version,
                "retries": self._info.number - 1 + self._info.remaining,
            }
            self._recorded = self._db.write_soon(self._record_begin, values)

    def _record_begin(self, connection: Connection, values: dict[str, Any]) -> None:
        self._lost = not rows.change(connection, self.run_id, values, holder=self._executor)

    def _attempts(self, outcome: FinalStatus | None, ended_at: int = 0) -> list[AttemptEntry]:
        """Return the column `attempts`: the earlier ones, and this one if it has started."""
        if self._started_at is None:
            return list(self._info.earlier)

        attempts = [*self._info.earlier, open_attempt(self._info.number, self._started_at)]
        if outcome is None:
            return attempts
        return close_attempts(attempts, ended_at, outcome)

    def _elapsed(self) -> float:
        return round((time.perf_counter() - self._created_at) * 1000, 2)

    def _mark(self, name: str) -> None:
        self._timings[name] = round(self._elapsed() - sum(self._timings.values()), 2)

    async def _serve(self, lease: Lease) -> None:
        sandbox = lease.sandbox
        if lease.ready:
            ready = None
        else:
            ready = asyncio.create_task(sandbox.wait_ready())

        request_task = asyncio.create_task(self._send_request(lease))
        try:
            if ready is not None:
                await self._until_ready(ready, request_task)
            self._mark("ready")
            if not lease.shared:
                self._change(to_running(now(), lease.tier), only_from=("starting",))

            response = await request_task
            self._mark("answer")
            await self._pass_on(response)
        except ProgramFailed as error:
            raise await self._explain(sandbox, error) from error
        finally:
            for task in (ready, request_task):
                if task is not None and not task.done():
                    task.cancel()
                    with suppress(asyncio.CancelledError, CodewordsError):
                        await task

            if request_task.done() and not request_task.cancelled() and request_task.exception() is None:
                await request_task.result().aclose()

    async def _until_ready(
        self, ready: asyncio.Task[None], request_task: asyncio.Task[http1.SandboxResponse]
    ) -> None:
        await asyncio.wait({ready, request_task}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done() or request_task.exception() is not None:
            await ready
        else:
            ready.cancel()  # an answer is the best proof of readiness

    async def _send_request(self, lease: Lease) -> http1.SandboxResponse:
        request = self.request
        target = quote(request.path, safe="/%:@!$&'()*+,;=~-._").encode()
        if request.query:
            target += b"?" + request.query
        headers = to_workflow(
            request.headers,
            run_id=self.run_id,
            correlation_id=self.correlation_id,
            caller_id=request.caller.owner,
            plain=bool(self.scrubber),
            schedule_id=request.schedule_id,
        )
        return await http1.request(
            lease.sandbox.socket_path,
            request.method,
            target,
            headers,
            self._reader.chunks(),
            connections=lease.connections,
        )

    async def _explain(self, sandbox: Sandbox, error: ProgramFailed) -> CodewordsError:
        """A broken connection is a symptom: the sandbox's end tells the cause, if it comes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(EXPLAIN_WAIT):
                await sandbox.wait()
        return sandbox.failure() or error

    async def _pass_on(self, response: http1.SandboxResponse) -> None:
        scrubber = self.scrubber.another()
        headers = to_caller(
            response.headers, run_id=self.run_id, keep_length=not self.scrubber, failed=response.status >= 400
        )
        headers = [(name, scrubber.whole(value)) for name, value in headers]
        if value_of(headers, b"set-cookie") is not None:
            self.run_log.write_platform_line(f"The response sets a cookie. {COOKIES}")
        self._workflow_response = WorkflowResponse(response.status, headers)
        self.response.start(self._workflow_response)
        self._collected = self._response_files.collect(self.run_id, headers)
        expected = int(value_of(headers, b"content-length") or -1)
        seen = 0

        async for raw in response.body:
            seen += len(raw)
            chunk = scrubber.feed(raw)
            await self._capture(chunk)

            if seen == expected > 0:
                await self._settle(
                    None
                )  # before its last byte, so that a caller with the response finds the record

            if chunk:
                await self._pass_chunk(chunk)

        if rest := scrubber.flush():
            await self._capture(rest)
            await self._pass_chunk(rest)

    async def _capture(self, chunk: bytes) -> None:
        self._captured.add(chunk)
        if self._collected is not None:
            await self._collected.add(chunk)

    async def _pass_chunk(self, item: bytes | None) -> None:
        if not self.request.background:
            await self.response.put(item)

    async def _finish(self, lease: Lease | None, error: CodewordsError | None) -> None:
        """Settle the record and release the lease. Neither waits for the other to succeed."""
        self._finishing = True
        try:
            if lease is not None and error is not None:
                await _kill(lease, error)
            await self._settle(error)
            if error is not None:
                self.response.fail(error)
        finally:
            if lease is not None:
                usage = await self._release(lease)
            else:
                usage = None

        if usage is not None:
            self._record_usage(usage)

    async def _release(self, lease: Lease) -> Usage | None:
        try:
            return await lease.release()
        except Exception:
            log.exception("sandbox not released as expected", run_id=self.run_id)
            return None

    def _record_usage(self, usage: Usage) -> None:
        """The record has what this attempt used; its columns what all of them have."""
        used = egress_record(self._config.egress, self.run_log) | {
            name: getattr(usage, name) for name in ("wall_seconds", "cpu_seconds", "peak_memory")
        }
        if usage.egress_out is not None:
            used["egress"] |= {"bytes_in": usage.egress_in, "bytes_out": usage.egress_out}
        if usage.cost is not None:  # of a machine that is rented
            used["cost"] = usage.cost
        columns = {name: getattr(usage, name) for name in sums.SUMMED}
        steps = self._steps()
        self._db.write_with_retries(
            sums.add, self.run_id, self._executor, used=used, steps=steps, columns=columns
        )

    def _steps(self) -> list[dict[str, Any]]:
        return [{"id": step.id, "at": round(step.at.timestamp() * 1e6)} for step in self.run_log.steps]

    async def _settle(self, error: CodewordsError | None) -> None:
        """Write the final record. A later reader finds it, and the output that was printed before the response."""
        if self.settled.is_set():
            return

        if self.run_log.call_broken and failed_by_itself(error, self._workflow_response):
            error = interrupted()  # it could not know, and is taken up again where that was asked for
        try:
            await self.run_log.flush()
            values = self._outcome_values(error) | response_record(self._workflow_response, self._captured)
            values["input"] = self._reader.record([self.scrubber, *self._scrubbers_above])

            if error is None and self._workflow_response is not None and not self.again:
                if self._captured.truncated:
                    whole = None
                else:
                    whole = bytes(self._captured.data)

                headers, collected = self._workflow_response.headers, self._collected
                values |= await self._response_files.store(
                    self.run_id, self.request, headers, collected, whole
                )
        except Exception:
            log.exception("run not settled as expected", run_id=self.run_id)
            values = self._outcome_values(unreadable())

        self.attempts: list[dict[str, Any]] = values["attempts"]
        self._write_outcome(values)
        self.settled.set()
        self.run_log.settled()

    def _outcome_values(self, error: CodewordsError | None) -> dict[str, Any]:
        """The columns of a run that ended so, but for its answer."""
        ended_at = max(now(), self._started_at or 0)  # also where the clock was set back meanwhile
        self._timings["total"] = self._elapsed()
        self.outcome = status = final_status(error, self._workflow_response)

        attempts, error_columns = (
            self._attempts(status, ended_at),
            error_record(error, self._workflow_response),
        )
        if self.again:
            columns = to_queued("retry", attempts=attempts, started_at=self._started_at)
            columns["error"] = error_columns
        else:
            columns = to_finished(status, error_columns, ended_at, attempts)
            columns["started_at"] = self._started_at

        return columns | {
            "isolation": self._isolation,
            "timings": self._timings,
            "steps": self._steps(),
            "usage": egress_record(self._config.egress, self.run_log),
        }

    def _write_outcome(self, values: dict[str, Any]) -> None:
        over = self.request.background and not self.again

        def write(connection: Connection) -> None:
            took = rows.change(connection, self.run_id, values, holder=self._executor)
            if took and over:  # who has taken it over needs what was asked
                requests.forget(connection, self.run_id)

        written = self._db.write_with_retries(write)
        settle_if_refused(self._db, written, self.run_id, self._executor)

    def body(self) -> AsyncIterator[bytes]:
        """The body's bytes for one caller; a break before the end cancels the run."""
        return self.response.body(self.hang_up)

    async def hang_up(self) -> None:
        """The caller has gone: cancel and wait until the record says so."""
        self.cancel("the caller hung up")
        await asyncio.shield(self.settled.wait())


async def _kill(lease: Lease, error: CodewordsError) -> None:
    try:
        await lease.kill("timed_out" if isinstance(error, RunTimedOut) else "killed")
    except Exception:
        log.exception("sandbox not ended as expected")  # its release ends it
