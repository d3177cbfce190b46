"""One background run: attempt after attempt, until its record has its end."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import CodewordsError, RunCancelled, StorageFailed, TooBusy
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.model.run_state import (
    ACTIVE,
    NOT_RUNNING,
    close_attempts,
    error_entry,
    to_finished,
    to_queued,
    to_running_service,
)
from codewords_mcp.runtime.runs import background_request as works
from codewords_mcp.runtime.runs.attempt import Execution
from codewords_mcp.runtime.runs.attempt_setup import AttemptInfo, AttemptSetup
from codewords_mcp.runtime.runs.cancellation import cancel_until_done
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.headroom import WAITING
from codewords_mcp.runtime.runs.launcher import LaunchConfig
from codewords_mcp.runtime.runs.records import CalledService
from codewords_mcp.runtime.runs.results import settle_if_refused, unreadable
from codewords_mcp.runtime.runs.run_journals import AttemptJournal
from codewords_mcp.runtime.runs.run_logs import RunLog
from codewords_mcp.runtime.runs.run_recordings import needs_own_sandbox
from codewords_mcp.runtime.runs.service_calls import ServiceRunner
from codewords_mcp.runtime.runs.slots import NotOurs
from codewords_mcp.runtime.secrets.scrub import Scrubber
from codewords_mcp.runtime.services.base import Service
from codewords_mcp.runtime.store import recovery, requests
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds before the second attempt, doubled before each further one up to the longest, half of it at random."""
STORE_PAUSE = 3.0
"""Seconds after which a run looks again whether the store takes it."""
log = structlog.get_logger(__name__)


class BackgroundRun:
    """One run, attempt after attempt. `started`: the first one is recorded, and has a slot already."""

    def __init__(
        self,
        context: RunDependencies,
        served: ServiceRunner,
        run_id: str,
        work: works.Work,
        *,
        started: bool = False,
    ) -> None:
        self.run_id = run_id
        self.correlation_id = work.ancestry.correlation_id
        self.depth = work.ancestry.depth
        self.key_id = work.request.caller.key_id
        self.settled = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._context = context
        self._served = served
        self._work = work
        self._execution: Execution | None = None
        self._why = ""
        self._stopped = False
        self._attempting = started
        """An attempt is being made, or is on record as started."""
        self._ending = False

    @property
    def scrubber(self) -> Scrubber | None:
        """See `ActiveRun`."""
        if self._execution is not None:
            return self._execution.scrubber
        return None

    def cancel(self, why: str) -> None:
        """See `ActiveRun`."""
        if not self._why:
            self._why = why
            cancel_until_done(self._try_cancel)

    @property
    def request(self) -> RunRequest:
        """See `ActiveRun`."""
        return self._work.request

    def fail(self, error: CodewordsError) -> None:
        """See `ActiveRun`."""
        if self._execution is None:
            self.cancel(error.message)
        else:
            self._execution.fail(error)

    def stop(self) -> None:
        """See `ActiveRun`."""
        if not self._stopped:
            self._stopped = True
            cancel_until_done(self._try_cancel)

    def retire(self) -> None:
        """Stop a run that has not started, since the runtime drains. Another runtime goes on with it."""
        if not self._attempting:
            self.stop()

    def _try_cancel(self) -> bool:
        if self.task is None or self.task.done() or self._ending:
            return False
        if self._execution is None:
            self.task.cancel()
        elif self._stopped:
            self._execution.stop()
        else:
            self._execution.cancel(self._why)
        return True

    async def live(self, config: LaunchConfig | None = None) -> None:
        """Execute the run to its end in this process. `config` is set for a workflow's run that has started."""
        context = self._context
        run_log = context.journal.open(self.run_id, self._work.next_seq, self._work.last_line)

        try:
            if (early := self._work.not_before - time.time()) > 0:
                await asyncio.sleep(early)
            await self._until_stored(run_log, config)
        except asyncio.CancelledError:
            self._ending = True
            if not self._stopped:  # else the record stays for the runtime that goes on with the run
                self._settle(RunCancelled(f"The run was cancelled: {self._why or 'it was asked to'}."))
        except NotOurs:
            log.info("a run was another's or over when its turn came", run_id=self.run_id)
        except Exception:
            log.exception("background run failed in the runtime", run_id=self.run_id)
            self._settle(unreadable())
        finally:
            try:
                context.journal.close(run_log)
            finally:
                self.settled.set()
                if context.registry.draining:
                    self._give_back()
                context.registry.leave(self.run_id)

    def _give_back(self) -> None:
        """Return the run to the queue unless it has ended, so that no process holds it."""
        run_id, holder = self.run_id, self._context.registry.executor
        self._context.database.write_with_retries(recovery.abandon, [holder], [run_id])

    async def _serve(self, service: Service) -> None:
        """Call a library service. There is one attempt, since the effects of a failed one are unknown."""
        context, work = self._context, self._work
        scope = context.records.limit_scope(work.request, CalledService(service.name))

        async with context.slots.slot(
            self.run_id, scope, claimed=self._attempting, priority=work.request.priority
        ):
            if self._stopped:
                raise asyncio.CancelledError

            # From here on a drain lets it finish.
            self._attempting, at = True, now()
            running = to_running_service(at)
            work.attempts = running.get("attempts", [])
            if not await context.database.write(
                rows.change, self.run_id, running, only_from=NOT_RUNNING, holder=context.registry.executor
            ):
                raise NotOurs

            work.request.body = works.replayed(work.body)
            _, values = await self._served.attempt(service, work.request, self.run_id, at)
            self._ending = True
            self._record_end(values)

    async def _until_stored(self, run_log: RunLog, config: LaunchConfig | None) -> None:
        """Make the run's attempts. If the store is unreachable or full, the run waits, since it was accepted."""
        while True:
            try:
                if service := self._served.find(self._work.request.service_id):
                    await self._serve(service)
                else:
                    await self._attempts(run_log, config)
            except StorageFailed as error:
                log.warning("a run waits for the store", run_id=self.run_id, reason=error.message)
            else:
                return

            # The slot on record is given up by `_wait_again`, and the live version may be another
            # one by then.
            config, self._attempting = None, False
            await self._wait_again()

    async def _wait_again(self) -> None:
        """Record the run as queued once the store is reachable, which releases the slot that it may have on record."""
        self._work.attempts = [attempt for attempt in self._work.attempts if attempt["ended_at"]]
        values = to_queued("turn", attempts=self._work.attempts)
        holder = self._context.registry.executor

        while True:
            await asyncio.sleep(STORE_PAUSE)
            with suppress(StorageFailed):
                await self._context.database.write(
                    rows.change, self.run_id, values, only_from=ACTIVE, holder=holder
                )
                return

    async def _attempts(self, run_log: RunLog, config: LaunchConfig | None) -> None:
        context = self._context
        while True:
            number = len(self._work.attempts) + 1
            if number > 1:
                run_log.write_platform_line(self._announcement(number))
            execution = await self._attempt(run_log, config)
            self._execution, self._attempting = None, False
            if execution is None or not execution.record.retried or self._stopped:
                return

            self._work.attempts, config = execution.record.attempts, None
            if self._why:  # came while the attempt was cleaning up
                raise asyncio.CancelledError
            if context.registry.draining:
                return

            run_log.end()
            # The attempt has left its slot, so the pause keeps no other run waiting.
            await asyncio.sleep(pause_after(number))

    def _announcement(self, number: int) -> str:
        before = self._work.attempts[-1]
        if before["outcome"] == "suspended":
            return f"attempt {number}: the wait is over, and the run goes on from its journal"
        return f"attempt {number} of {self._work.retries + 1}: attempt {before['number']} {before['outcome']}"

    async def _attempt(self, run_log: RunLog, config: LaunchConfig | None) -> Execution | None:
        """Make an attempt. Returns None if it could not be made; the reason is in the record."""
        context, request, first = self._context, self._work.request, config is not None
        try:
            if config:
                servable = config.servable
            else:
                servable = await context.authorization.servable(request.caller, request.service_id)
        except StorageFailed:
            raise
        except CodewordsError as error:
            self._settle(error)
            return None

        scope = context.records.limit_scope(request, servable)
        async with context.slots.slot(self.run_id, scope, claimed=first, priority=request.priority):
            try:
                config = config or await self._latest_config()
                # A deploy may have raised the number meanwhile; what the run was promised is not taken back.
                self._work.retries = max(self._work.retries, config.servable.retries)
                journal = await self._journal(config)
            except StorageFailed:
                raise
            except CodewordsError as error:
                self._settle(error)
                return None

            with ExitStack() as held:
                own = needs_own_sandbox(request, journal)
                if own or not context.allocator.joins(config, request.caller):
                    held.callback(await self._enough_room(run_log))
                # One of these awaits may drop a cancellation (see `cancellation.py`), so the reasons
                # are looked at below.
                above = await context.ancestry.above(request.caller, request.made_by)
                if self._why or self._stopped:
                    raise asyncio.CancelledError

                self._attempting = True
                execution = self._execution = self._make(run_log, config, above, journal, queued=not first)
                await execution.attempt()

        return execution

    async def _enough_room(self, run_log: RunLog) -> Callable[[], object]:
        """Wait for memory and open files, as long as it takes: nobody would come back for a run that was turned away.

        Returns what `Headroom.enter` does.
        """

        def on_wait(limit: str, /) -> None:
            run_log.write_platform_line(WAITING[limit])
            self._context.slots.record_reason(self.run_id, limit)

        while True:
            try:
                return await self._context.headroom.enter(on_wait)
            except TooBusy:
                # The sentence is said once, and not in each round.
                on_wait = _ignore

    async def _latest_config(self) -> LaunchConfig:
        """The version that is live now: the wait may have been long. Raises NotFound, EnvironmentFailed."""
        request = self._work.request
        servable = await self._context.authorization.servable(request.caller, request.service_id)
        return await self._context.launcher.launch_config(request, servable)

    async def _journal(self, config: LaunchConfig) -> AttemptJournal | None:
        """The journal that the next attempt goes on from; None for a run that begins anew each time."""
        context, request = self._context, self._work.request
        journals = context.run_journals
        if request.mode is None:
            keeps = config.servable.resumes or await context.catalog.may_wait(request.caller, config.servable)
        else:
            keeps = False
        resumes = request.mode == "resume" or keeps
        # The version that is live now may ask for no journal. What an earlier one has sent is not sent again.
        if not resumes and not (self._work.attempts and await journals.has_entries(self.run_id)):
            return None
        return await journals.open(self.run_id, request, len(self._work.attempts) + 1)

    def _make(
        self,
        run_log: RunLog,
        config: LaunchConfig,
        above: CallAttribution | None,
        journal: AttemptJournal | None,
        *,
        queued: bool,
    ) -> Execution:
        context, work = self._context, self._work
        context.registry.grant_authority(self.run_id, work.request, config, above)
        work.request.body = works.replayed(work.body)
        number = len(work.attempts) + 1
        execution = Execution(
            AttemptSetup(
                context,
                self.run_id,
                work.request,
                config,
                run_log,
                work.ancestry,
                timeout=work.request.timeout or config.servable.timeout or context.settings.run_timeout,
                queued=queued,
                info=AttemptInfo(number, tuple(work.attempts), work.retries + 1 - number, journal),
            )
        )
        execution.task = self.task

        return execution

    def _settle(self, error: CodewordsError) -> None:
        at = now()
        status = "cancelled" if isinstance(error, RunCancelled) else "failed"
        attempts = close_attempts(self._work.attempts, at, status)
        self._record_end(to_finished(status, error_entry(error), at, attempts))

    def _record_end(self, values: RunColumns) -> None:
        def write(connection: Connection) -> None:
            if rows.change(connection, self.run_id, values, holder=self._context.registry.executor):
                # Else who has taken it over needs it.
                requests.forget_unless_resumable(connection, self.run_id)

        database = self._context.database
        written = database.write_with_retries(write)
        settle_if_refused(database, written, self.run_id, self._context.registry.executor)
        self._context.killed_attempts.settle_after(written, self.run_id)


def _ignore(_limit: str) -> None:
    """Discard a sentence that was reported before."""


def pause_after(attempt: int) -> float:
    """Seconds to wait after this attempt (from 1) has failed."""
    longest = min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
    return longest * random.uniform(0.5, 1)  # noqa: S311  # spreads load, guards nothing
