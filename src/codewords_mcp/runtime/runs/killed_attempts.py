"""Runs that ended while no process had them: their journals become traces and recordings, and are deleted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.model.run import FINISHED, Run
from codewords_mcp.runtime.model.run_columns import FinalStatus
from codewords_mcp.runtime.recording.exchanges import MAX_BODY_BYTES, Recording, RunMessage, cost_of
from codewords_mcp.runtime.recording.journal import JournalEntry
from codewords_mcp.runtime.recording.journal_exchanges import CUT, exchanges_of
from codewords_mcp.runtime.runs import background_request as works
from codewords_mcp.runtime.runs.authorization import RunAuthorization
from codewords_mcp.runtime.runs.input import RequestReader
from codewords_mcp.runtime.runs.launcher import Launcher
from codewords_mcp.runtime.runs.request_headers import target_of
from codewords_mcp.runtime.runs.run_journals import RunJournals, trace_killed_attempts
from codewords_mcp.runtime.runs.run_recordings import RecordedRun, RunRecordings, recorded_headers
from codewords_mcp.runtime.secrets.scrub import Scrubber
from codewords_mcp.runtime.store import recording_journal, requests
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import to_micros
from codewords_mcp.runtime.store.database import Database

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _EndedRun:
    run: Run
    entries: list[JournalEntry]
    work: works.Work | None


class KilledAttempts:
    """Settles the journals of runs whose last attempt was killed."""

    def __init__(
        self,
        database: Database,
        journals: RunJournals,
        recordings: RunRecordings,
        authorization: RunAuthorization,
        launcher: Launcher,
    ) -> None:
        self._db = database
        self._journals = journals
        self._recordings = recordings
        self._authorization = authorization
        self._launcher = launcher
        self._tasks: set[asyncio.Task[None]] = set()

    async def settle_all(self) -> None:
        """Settle what is left of all runs. Raises StorageFailed."""
        for run_id in await self._db.read(recording_journal.left_behind):
            await self._settle(run_id)

    def settle_after(self, written: asyncio.Future[None], run_id: str) -> None:
        """Settle a run as soon as its end is written."""

        def begin(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and done.exception() is None:
                self.settle_soon(run_id)

        written.add_done_callback(begin)

    def settle_soon(self, run_id: str) -> None:
        """Settle a run, if it has ended and asks nothing."""
        task = asyncio.create_task(self._settle_soon(run_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self, run_id: str) -> None:
        # A transaction that writes, since it locks the run against another replica that settles it.
        found = await self._db.write(self._load, run_id)
        if found is None:
            return
        # Recorded before its request is forgotten. A crash between the two records it again, in the
        # same place.
        await self._record(found)
        await self._db.write(self._finish, found)

    async def _settle_soon(self, run_id: str) -> None:
        try:
            await self._settle(run_id)
        except CodewordsError as error:
            # What is left is looked for again.
            log.warning("journal of an ended run not settled", run_id=run_id, reason=error.message)

    def _load(self, connection: Connection, run_id: str) -> _EndedRun | None:
        if not recording_journal.is_left_behind(connection, run_id):
            return None
        run = rows.get(connection, run_id)
        if run is None or run.status not in FINISHED:
            return None
        entries = self._journals.readable(connection, run.owner, run_id)
        try:
            work = works.load(connection, run_id)
        except (LookupError, TypeError, ValueError):
            # Its attempts are traced without it, and the journals of other runs must not wait for this one.
            log.exception("the request of an ended run could not be read", run_id=run_id)
            work = None
        return _EndedRun(run, entries, work)

    def _finish(self, connection: Connection, found: _EndedRun) -> None:
        trace_killed_attempts(connection, found.run.id, found.entries)
        requests.forget(connection, found.run.id)

    async def _record(self, found: _EndedRun) -> None:
        """Store a recording, where the workflow is still there."""
        work = found.work
        # Without its request or an entry there is nothing that a replay could begin with.
        if work is None or not found.entries:
            return
        try:
            servable = await self._authorization.servable(work.request.caller, work.request.service_id)
            config = await self._launcher.launch_config(work.request, servable)
        except CodewordsError as error:
            log.info("killed run not recorded", run_id=found.run.id, reason=error.message)
            return

        # A body is read once, and the recorder reads it as that of a run.
        work.request.body = works.replayed(work.body)
        recorded = RecordedRun(
            found.run.id, work.request, config, len(found.run.attempts), RequestReader(work.request)
        )
        recording = _recording(found, work, Scrubber(config.secrets))
        await self._recordings.store_journal(recorded, recording, cast("FinalStatus", found.run.status))


def _recording(found: _EndedRun, work: works.Work, scrubber: Scrubber) -> Recording:
    """Make a recording of a run from what all of its attempts have sent."""
    run, request = found.run, work.request
    if run.attempts:
        began = to_micros(run.attempts[0].started_at)
    else:
        began = found.entries[0].began
    exchanges = exchanges_of(found.entries, began)
    if len(work.body) > MAX_BODY_BYTES:
        body = None
    else:
        body = scrubber.another().whole(work.body)
    message = RunMessage(
        request.method,
        scrubber.whole(target_of(request)).decode("latin-1"),
        0,
        recorded_headers(request.headers, scrubber),
        body,
    )
    # A killed attempt leaves requests whose end nobody saw.
    ended = max(entry.ended or entry.began for entry in found.entries)
    return Recording(
        run.id,
        run.service_id or "",
        run.version or 0,
        began,
        run.status,
        message,
        RunMessage(),
        exchanges,
        error=run.error.code if run.error is not None else "",
        seconds=max(ended - began, 0) / 1e6,
        cost=cost_of(exchanges),
        truncated=CUT,
    )
