"""One attempt at a run, from its slot to its destroyed sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import structlog

from codewords_mcp.errors import (
    CodewordsError,
    ProgramFailed,
    RunCancelled,
    RunInterrupted,
    RunTimedOut,
    SandboxFailed,
)
from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.recording.exchanges import MAX_BODY_BYTES
from codewords_mcp.runtime.recording.trace_context import context_of_run
from codewords_mcp.runtime.runs.attempt_record import AttemptRecord
from codewords_mcp.runtime.runs.attempt_setup import AttemptSetup
from codewords_mcp.runtime.runs.cancellation import cancel_until_done
from codewords_mcp.runtime.runs.input import RequestReader
from codewords_mcp.runtime.runs.lease import Lease
from codewords_mcp.runtime.runs.request_headers import target_of, to_caller, to_workflow, value_of
from codewords_mcp.runtime.runs.response_stream import ResponseStream
from codewords_mcp.runtime.runs.results import WorkflowResponse, interrupted, what_limits
from codewords_mcp.runtime.runs.run_recordings import AttemptRecording, RecordedRun
from codewords_mcp.runtime.runs.run_traces import LiveAttempt
from codewords_mcp.runtime.runs.slots import NotOurs
from codewords_mcp.runtime.sandboxes import http1
from codewords_mcp.runtime.sandboxes.base import Sandbox, Usage
from codewords_mcp.runtime.secrets.scrub import Scrubber
from codewords_mcp.runtime.workflows.script_facts import COOKIES

log = structlog.get_logger(__name__)
EXPLAIN_WAIT = 2.0
"""Seconds to wait for a sandbox's end to explain a broken connection."""


class Execution:
    """One attempt at a run, in flight. `attempt()` is its whole life and never raises; `response` goes to the caller."""

    def __init__(self, setup: AttemptSetup) -> None:
        self.run_id = setup.run_id
        self.request = setup.request
        self.run_log = setup.run_log
        self.timeout = setup.timeout
        self.key_id = setup.request.caller.key_id
        self.depth = setup.ancestry.depth
        self.correlation_id = setup.ancestry.correlation_id
        self.scrubber = Scrubber(setup.config.secrets)
        self.response = ResponseStream()
        self.task: asyncio.Task[None] | None = None
        self._config = setup.config
        self._allocator = setup.context.allocator
        self._reader = RequestReader(setup.request)
        self.record = AttemptRecord(setup, self._reader, self.scrubber)
        self.settled = self.record.settled
        self._recordings = setup.context.recordings
        recorded_run = RecordedRun(
            setup.run_id,
            setup.request,
            setup.config,
            setup.info.number,
            self._reader,
            setup.plan,
            tell=self.run_log.write_platform_line,
            journal=setup.info.journal,
        )
        self._recording = self._recordings.begin(recorded_run, self.scrubber)
        if self._recording is not None:
            # The body passes once, and the recording needs it at the end of the run.
            self._reader.keep(MAX_BODY_BYTES)
        self._traces = setup.context.traces
        if self._recording is not None:
            exchanges = self._recording.log
        else:
            exchanges = None
        self._traces.begin(LiveAttempt(self.run_id, setup.info.number, exchanges, self.record.timings))
        self._trace_context = context_of_run(self.run_id, self.request.trace_parent).header
        self._cancelled = ""
        self._failure: CodewordsError | None = None
        self._stopped = False
        self._finishing = False

    def cancel(self, why: str) -> None:
        """End the run soon; wait for `settled` and the task."""
        if self._cancelled or self._finishing or self.task is None:
            return
        self._cancelled = why
        cancel_until_done(self._try_cancel)

    def fail(self, error: CodewordsError) -> None:
        """See `ActiveRun`."""
        # The first error is the cause of those that follow.
        self._failure = self._failure or error
        self.cancel(error.message)

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
    def joins_sandbox(self) -> bool:
        """Whether it needs no sandbox of its own: a shared one takes it in."""
        dedicated = self._recording is not None and self._recording.dedicated
        return not dedicated and self._allocator.joins(self._config, self.request.caller)

    async def attempt(self) -> None:
        """Take a sandbox, get the answer, settle, clean up. Never raises, but for being cancelled while cleaning."""
        error: CodewordsError | None = None
        lease: Lease | None = None

        try:
            async with asyncio.timeout(self.timeout):
                self.record.begin()
                if self.request.background:
                    await self.record.written()  # that it was tried is known before anything happens
                lease = await self._take()
                if not lease.shared:
                    await self.record.written()  # what reaches its sandbox is on record first
                await self._serve(lease)
                await self.record.settle(None)
                await self._pass_chunk(None)
        except TimeoutError:
            error = self._timed_out()
        except asyncio.CancelledError:
            error = self.broken_off()
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

    def broken_off(self) -> CodewordsError:
        """The error of a run that was cancelled, stopped or failed from outside, also before it started."""
        if self._failure is not None:
            return self._failure
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
        lease = await self._allocator.take(
            self._config, caller, self.run_log, self._recording, {"TRACEPARENT": self._trace_context}
        )
        self.record.isolated_by(lease.tier)
        for name in self._config.missing:
            # not a refusal: a program may declare what it only sometimes needs
            self.run_log.write_platform_line(f"{name} is declared but has no value. {set_secret(name).words}")
        return lease

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
            self.record.mark("ready")
            if not lease.shared:
                self.record.running(lease.tier)

            response = await request_task
            self.record.mark("answer")
            await self._pass_on(response)
        except ProgramFailed as error:
            raise await self._explain(sandbox, error) from error
        finally:
            for task in (ready, request_task):
                if task is not None and not task.done():
                    task.cancel()
                    with suppress(asyncio.CancelledError, CodewordsError):
                        await task

            # A response whose body nobody reads would keep its connection to the program.
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
        headers = to_workflow(
            request.headers,
            run_id=self.run_id,
            correlation_id=self.correlation_id,
            caller_id=request.caller.owner,
            plain=bool(self.scrubber),
            schedule_id=request.schedule_id,
            trace_parent=self._trace_context,
            own_origin=request.own_origin,
        )
        return await http1.request(
            lease.sandbox.socket_path,
            request.method,
            target_of(request),
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
            # A body without values of secrets has another length.
            response.headers,
            run_id=self.run_id,
            keep_length=not self.scrubber,
            failed=response.status >= 400,
        )
        headers = [(name, scrubber.whole(value)) for name, value in headers]
        if value_of(headers, b"set-cookie") is not None and not self.request.own_origin:
            self.run_log.write_platform_line(f"The response sets a cookie. {COOKIES}")

        workflow_response = WorkflowResponse(response.status, headers)
        self.response.start(workflow_response)
        self.record.respond(workflow_response)
        expected = int(value_of(headers, b"content-length") or -1)
        seen = 0

        async for raw in response.body:
            seen += len(raw)
            chunk = scrubber.feed(raw)
            await self.record.capture(chunk)

            if seen == expected > 0:
                # before its last byte, so that a caller with the response finds the record
                await self.record.settle(None)

            if chunk:
                await self._pass_chunk(chunk)

        if rest := scrubber.flush():
            await self.record.capture(rest)
            await self._pass_chunk(rest)

    async def _pass_chunk(self, item: bytes | None) -> None:
        if not self.request.background:
            await self.response.put(item)

    async def _finish(self, lease: Lease | None, error: CodewordsError | None) -> None:
        """Settle the record, release the lease, and keep what the attempt did."""
        self._finishing = True
        try:
            await self._settle_and_release(lease, error)
            if self._recording is not None:
                await self._store(self._recording)
        finally:
            # Also after a failure: else the attempt would be shown as one that goes on.
            self._traces.end(self.run_id, owner=self.request.caller.owner, is_last=self.record.is_final)

    async def _settle_and_release(self, lease: Lease | None, error: CodewordsError | None) -> None:
        """Settle the record and release the lease. Neither waits for the other to succeed."""
        try:
            if lease is not None and error is not None:
                await _kill(lease, error)
            await self._reader.read_unsent()
            await self.record.settle(error)
            if error is not None:
                self.response.fail(error)
        finally:
            if lease is not None:
                usage = await self._release(lease)
            else:
                usage = None

        if usage is not None:
            self.record.add_usage(usage)
        self.record.release()

    async def _store(self, recording: AttemptRecording) -> None:
        """Store the recording, with what the program sent after its response."""
        recording.unbind()
        outcome = self.record.outcome
        if outcome is not None:
            await self._recordings.store(
                recording, self.record.response_message, outcome, self.record.error_code
            )

    async def _release(self, lease: Lease) -> Usage | None:
        try:
            return await lease.release()
        except Exception:
            log.exception("sandbox not released as expected", run_id=self.run_id)
            return None

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
