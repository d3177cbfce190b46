"""Starts the runs of triggers' events, in order for each trigger.

The run of an event is recorded in the transaction that marks the event as started, under an idempotency key of trigger and
event: a crash on either side of it starts the event once, and so do replicas that start it at the same moment.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import (
    CodewordsError,
    Conflict,
    EnvironmentFailed,
    RuntimeUnavailable,
    SandboxUnavailable,
    StorageFailed,
    TooBusy,
)
from codewords_mcp.runtime.model.caller import Caller, MadeBy
from codewords_mcp.runtime.model.run import RunRequest, TriggerRef
from codewords_mcp.runtime.runs.background_request import replayed
from codewords_mcp.runtime.runs.dispatcher import RunDispatcher
from codewords_mcp.runtime.runs.poll_loop import PollLoop, finish_all
from codewords_mcp.runtime.store import trigger_events, triggers
from codewords_mcp.runtime.store.clock import now, to_text
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.executors import clock
from codewords_mcp.runtime.store.trigger_events import EventRow
from codewords_mcp.runtime.store.triggers import TriggerRow

MAX_CONCURRENT = 8
"""Triggers whose events are started at a time."""
BATCH = 50
"""Events of a trigger that are started before others get their turn."""
POLL_INTERVAL, SHARED_POLL_INTERVAL = 60.0, 3.0
"""Seconds between looks of its own accord, where nobody else and where replicas may have left something."""
SPACING = 0.05
"""Seconds between two looks at the least."""
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
"""Seconds before an event is tried again, doubled before each further try."""
PAUSE_AFTER = 20
"""Tries in a row that failed for the workflow's environment, after which the trigger is paused."""
# These pass by themselves; any other fault would be the same at the next try.
_BUSY = (TooBusy, StorageFailed, RuntimeUnavailable, SandboxUnavailable)
log = structlog.get_logger(__name__)


class TriggerDispatcher(PollLoop):
    """Starts runs. `on_failure` is called when a trigger was paused, since its event could not be started."""

    def __init__(
        self, database: Database, dispatcher: RunDispatcher, on_failure: Callable[[], object]
    ) -> None:
        super().__init__("events of triggers start no runs", FIRST_PAUSE)
        self._db = database
        self._dispatcher = dispatcher
        self._on_failure = on_failure
        self._has_watchers = False

    def run_ended(self) -> None:
        """A run has ended, which may be the event of a trigger."""
        # Most homes watch no runs, and then an end of a run costs no read of the database.
        if self._has_watchers:
            self.wake()

    def watchers_changed(self) -> None:
        """A trigger was added or changed."""
        self._has_watchers = True
        self.wake()

    async def poll(self) -> float:
        """See `PollLoop`."""
        while True:
            at, due = await self._db.read(self._due)
            if not due:
                break
            await finish_all(map(self._start_some, due))

        next_at = await self._db.read(triggers.next_start)
        longest = SHARED_POLL_INTERVAL if self._db.shared else POLL_INTERVAL
        if next_at is None:
            return longest
        return max(SPACING, min((next_at - at) / 1e6, longest))

    def _due(self, connection: Connection) -> tuple[int, list[TriggerRow]]:
        self._has_watchers = triggers.are_watching(connection)
        at = clock(connection)
        return at, triggers.startable(connection, at, MAX_CONCURRENT)

    async def _start_some(self, row: TriggerRow) -> None:
        for event in await self._db.read(trigger_events.waiting, row["id"], BATCH):
            try:
                if not await self._start(row, event):
                    return
            except _BUSY as error:
                # The events behind it wait too, since they start in their order.
                await self._retry_later(row, error.message)
                return
            except EnvironmentFailed as error:
                if row["start_failures"] + 1 < PAUSE_AFTER:
                    await self._retry_later(row, error.message)
                else:
                    await self._stop(row, error)
                return
            except CodewordsError as error:
                await self._stop(row, error)
                return

    async def _start(self, row: TriggerRow, event: EventRow) -> bool:
        """Start the run of an event. False where the trigger was paused or changed, so that the next must wait."""
        key = f"{row['id']}/{event.seq}"
        recorded = False

        def record(connection: Connection, run_id: str) -> None:
            nonlocal recorded
            current = triggers.lock(connection, row["id"])
            # Raised within the transaction that adds the run, so that its row is rolled back too.
            if current is None or current["paused"]:
                raise _NotNowError("The event is started elsewhere, or its trigger was paused.")
            if not trigger_events.started(connection, row["id"], event.key, run_id, now()):
                raise _NotNowError("The event is started elsewhere, or its trigger was paused.")
            recorded = True

        try:
            run_id = await self._dispatcher.start(_request(row, event, key, record))
        except _NotNowError:
            return False
        if not recorded:
            # Its run was on record before: another process has started it just now.
            await self._db.write(trigger_events.started, row["id"], event.key, run_id, now())
        return True

    async def _retry_later(self, row: TriggerRow, reason: str) -> None:
        failures = row["start_failures"] + 1
        pause = min(FIRST_PAUSE * 2 ** min(failures - 1, 10), LONGEST_PAUSE)
        log.info("event of a trigger waits for its run", trigger=row["id"], reason=reason, seconds=pause)
        await self._db.write(
            triggers.change,
            row["id"],
            {"start_at": now() + int(pause * 1e6), "start_failures": failures},
        )

    async def _stop(self, row: TriggerRow, error: CodewordsError) -> None:
        def stop(connection: Connection) -> None:
            current = triggers.lock(connection, row["id"])
            if current is not None and not current["paused"]:
                note = f"Paused, since the run of its next event could not be started: {error}"
                triggers.stop(connection, current, note[:1000], now())

        await self._db.write(stop)
        self._on_failure()


class _NotNowError(Conflict):
    """The trigger was paused, or another process has started the event."""


def _request(
    row: TriggerRow, event: EventRow, key: str, record: Callable[[Connection, str], None]
) -> RunRequest:
    body = json.dumps(event.data).encode()
    moment = to_text(event.at) if event.at is not None else ""
    headers = [
        (b"accept", b"application/json"),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-trigger-id", row["id"].encode()),
        (b"x-trigger-kind", row["kind"].encode()),
        (b"x-trigger-event", event.key.encode()),
        *([(b"x-trigger-at", moment.encode())] if moment else []),
    ]
    path, _, query = row["path"].partition("?")
    made_by = MadeBy.from_json(event.made_by)
    return RunRequest(
        row["service_id"],
        "POST",
        path,
        query.encode(),
        headers,
        replayed(body),
        Caller(row["owner"], "user", key_id=row["key_id"]),
        correlation_id=event.correlation_id or key,
        idempotency_key=key,
        made_by=made_by,
        trigger=TriggerRef(kind=row["kind"], id=row["id"], event=event.key),
        on_record=record,
    )
