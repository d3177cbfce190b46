"""The clock that starts what is due. One task for all schedules; what is due is taken and recorded in one transaction.

A run's id follows from its schedule and its time, so that no time fires twice, also after a crash, a change of the
clock, or among replicas.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Connection

from codewords_mcp.runtime.model.caller import MadeBy
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.model.run_state import to_queued
from codewords_mcp.runtime.runs.background import BackgroundRuns
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.poll_loop import PollLoop
from codewords_mcp.runtime.store import alert_causes, requests, schedules, workflows
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now, to_datetime, to_micros, to_text
from codewords_mcp.runtime.store.executors import clock
from codewords_mcp.runtime.store.rows import ScheduleChange, ScheduleRow
from codewords_mcp.runtime.triggers.cron import after, parse_zone
from codewords_mcp.runtime.triggers.due_times import Due, due

log = structlog.get_logger(__name__)
BATCH = 100
LONGEST_SLEEP = 10.0
"""Seconds after which it looks at the clock again: clocks jump and machines sleep."""
HELD_SLEEP = 0.5
"""Seconds between looks while a time waits for the run before it to end."""
MAX_HELD = 100
CLOCK_BACK = 5.0
"""Seconds by which a clock that was set back has to differ for next times to be computed again."""
_IDS = uuid.UUID("6f5a2c9e-0e0b-4a55-9d8c-0f6d3f2c7a11")


@dataclass(slots=True)
class _Round:
    """The result of one transaction."""

    started: list[str]
    examined: int


class Scheduler(PollLoop):
    """`armed`: a schedule has a time to come, or a time that waits for the run before to end.

    `on_failure` is called where times were missed or a schedule was paused.
    """

    def __init__(
        self, context: RunDependencies, background: BackgroundRuns, on_failure: Callable[[], object]
    ) -> None:
        super().__init__("schedules are not looked at", LONGEST_SLEEP)
        self._context = context
        self._background = background
        self._on_failure = on_failure
        self._noted = False
        """A failure was noted in the last transaction."""
        self._ahead: float | None = None
        """By how much the clock is ahead of the monotonic one, at the last look; None before the first."""

    async def poll(self) -> float:
        """See `PollLoop`."""
        while (pause := await self._until_next()) <= 0:
            await self.fire()
        return pause

    async def _until_next(self) -> float:
        (next_at, waiting), at = await self._context.database.read(
            lambda c: (schedules.next_time(c), clock(c))
        )
        self.armed = next_at is not None or waiting
        # A clock that was ahead has moved the next times on, and schedules would be silent until then.
        if self._was_set_back(at):
            pulled = await self._context.database.write(self._pull_back)
            if pulled:
                log.warning("clock set back: next times of schedules computed again", schedules=pulled)
                return await self._until_next()

        if next_at is None:
            remaining = LONGEST_SLEEP
        else:
            remaining = min((next_at - at) / 1e6, LONGEST_SLEEP)

        if waiting and remaining > 0:
            await self.fire()  # whose run before has ended meanwhile
            return min(remaining, HELD_SLEEP)

        return remaining

    def _was_set_back(self, at: int) -> bool:
        """Whether the clock was set back since the last poll; True at the first poll, since it may have been."""
        before, self._ahead = self._ahead, at / 1e6 - time.monotonic()
        return before is None or self._ahead < before - CLOCK_BACK

    def _pull_back(self, connection: Connection) -> int:
        """Give cron schedules the next time from now where theirs is a later one; how many.

        A clock that was ahead has moved them on. No time fires twice for it: a run's id follows from its time.
        """
        at, pulled = clock(connection), 0
        for row in schedules.with_cron_after(connection, at):
            following = next(after(row.cron, parse_zone(row.timezone), to_datetime(at)), None)
            if following is not None and to_micros(following) < row.next_at:
                schedules.change(connection, row.id, {"next_at": to_micros(following)})
                pulled += 1

        return pulled

    async def fire(self) -> None:
        """Start everything that is due."""
        await self._context.records.quotas.refresh()
        while True:
            done = await self._context.database.write(self._round)
            if self._noted:
                self._noted = False
                self._on_failure()
            for run_id in done.started:
                # After the transaction, whose run could still be rolled back.
                self._background.begin(run_id)
            if done.examined < BATCH:
                return

    def _round(self, connection: Connection) -> _Round:
        at = clock(connection)
        found = schedules.take_due(connection, at, BATCH)
        return _Round(
            [schedule for row in found for schedule in self._fire_schedule(connection, row, at)], len(found)
        )

    def _fire_schedule(self, connection: Connection, row: ScheduleRow, at: int) -> list[str]:
        workflow = workflows.get(connection, row["service_id"])
        # Asked at each time: a workflow may have been deleted or made private since.
        if workflow is None or not (workflow.owner == row["owner"] or workflow.public):
            self._stop(connection, row, "Paused: its workflow is gone.")
            return []

        if not _maker_may_start(connection, row):
            self._stop(connection, row, "Paused: the workflow that made it may not start this one any more.")
            return []

        next_at = row["next_at"]
        come = next_at is not None and next_at <= at
        if next_at is not None and come:
            what = self._due(row, next_at, at)
        else:
            what = Due([], 0, to_datetime(next_at) if next_at else None)

        if what.missed:
            detail = {"schedule_id": row["id"], "times": what.missed, "note": _missed_note(row, what)}
            alert_causes.note(connection, f"missed {row['id']} {next_at}", "schedule_missed", detail)
            self._noted = True

        starting, waiting, note = self._admitted(connection, row, what)
        first_dry = bool(row["first_dry"])
        if first_dry:
            # One is enough to be looked at.
            starting = starting[:1]
        if starting and (refused := self._context.records.quotas.runs_refusal(connection, row["owner"])):
            note = f"Skipped {to_text(to_micros(starting[-1]))}: {refused.message}"
            starting = []
        ids = [self._record(connection, row, workflow.active_version, tick, at) for tick in starting]
        values: ScheduleChange = {
            "next_at": None if what.next_at is None else to_micros(what.next_at),
            "missed": row["missed"] + what.missed,
            "held_back": waiting,
        }
        if come:
            values["note"] = note
        started = [schedule for schedule in ids if schedule]
        if started:
            values["last_at"], values["last_run_id"] = to_micros(starting[-1]), started[-1]
            if first_dry:
                values.update(_after_dry(started[0]))
        schedules.change(connection, row["id"], values)
        return started

    def _stop(self, connection: Connection, row: ScheduleRow, note: str) -> None:
        schedules.change(connection, row["id"], {"paused": True, "note": note})
        detail = {"schedule_id": row["id"], "note": note}
        alert_causes.note(connection, f"stopped {row['id']}", "schedule_stopped", detail)
        self._noted = True

    def _due(self, row: ScheduleRow, next_at: int, at: int) -> Due:
        return due(
            cron=row["cron"],
            timezone=row["timezone"],
            next_at=to_datetime(next_at),
            now=to_datetime(at),
            catch_up=row["catch_up"],
        )

    def _admitted(
        self, connection: Connection, row: ScheduleRow, what: Due
    ) -> tuple[list[datetime], int, str]:
        """Return (times to start runs for, number of times that wait for the previous run, note)."""
        note = _missed_note(row, what)
        waiting: int = row["held_back"]
        if row["overlap"] == "parallel":
            return what.fire, 0, note

        busy = schedules.has_unfinished_run(connection, row["id"])
        if row["overlap"] == "skip":
            if busy and what.fire:
                return [], 0, f"Skipped {to_text(to_micros(what.fire[-1]))}: the run before had not ended."
            return what.fire[-1:], 0, note

        queue = waiting + len(what.fire)
        if not queue or busy:
            # While times are held back, the note of an earlier one stays to be read.
            return [], min(queue, MAX_HELD), note or row["note"]

        if what.fire and not waiting:
            first = what.fire[0]
        else:
            first = _own_time(row)

        return [first], min(queue - 1, MAX_HELD), note

    def _record(
        self, connection: Connection, row: ScheduleRow, version: int, tick: datetime, at: int
    ) -> str | None:
        """The run of this time, waiting and held by this process; None where it was recorded before."""
        run_id = str(uuid.uuid5(_IDS, f"{row['id']}/{to_micros(tick)}"))
        # The clock came to this time before.
        if rows.get(connection, run_id) is not None:
            return None

        jitter = random.uniform(0, row["jitter"]) if row["jitter"] else 0  # noqa: S311  # spreads load
        made_by = MadeBy.from_json(row["made_by"])
        values: RunColumns = {
            "id": run_id,
            "owner": row["owner"],
            "key_id": row["key_id"],
            "created_at": at,
            "service_id": row["service_id"],
            "version": version,
            "correlation_id": run_id,
            "executor": self._context.registry.executor,
            "background": True,
            # The version that is live when its turn comes says how many: see `BackgroundRun._attempt`.
            "retries": 0,
            "schedule_id": row["id"],
            "depth": made_by.depth if made_by else 0,
            "made_by": row["made_by"],
            "not_before": at + int(jitter * 1e6) if jitter else None,
            "mode": "dry_run" if row["first_dry"] else None,
            "trigger_kind": "schedule",
            "trigger_id": row["id"],
            "event_key": to_text(to_micros(tick)),
            **to_queued(None),
        }
        rows.add(connection, values)
        requests.add(connection, _request(row, run_id))

        return run_id


def _after_dry(run_id: str) -> ScheduleChange:
    return {
        "paused": True,
        "first_dry": False,
        "held_back": 0,
        "note": f"Paused: its first time was the dry run {run_id}. Apply that run, or resume the schedule, to let it go on.",
    }


def _maker_may_start(connection: Connection, row: ScheduleRow) -> bool:
    """Whether the live version of the workflow that made a schedule may start what the schedule starts."""
    maker = row["maker"]
    if maker is None:
        return True

    workflow = workflows.get(connection, maker)
    if workflow is None or maker == row["service_id"]:
        return workflow is not None

    version = workflows.version(connection, maker, workflow.active_version)
    if version is None or version.manifest is None:
        return False

    return Manifest.model_validate(version.manifest).may_call(row["service_id"])


def _own_time(row: ScheduleRow) -> datetime:
    """A time for a run that was held back: later than the last one's, so that its id is its own."""
    return to_datetime(max(now(), (row["last_at"] or 0) + 1))


def _missed_note(row: ScheduleRow, what: Due) -> str:
    if not what.missed:
        return ""
    made_up = sum(1 for tick in what.fire if (time.time() - tick.timestamp()) > 60)
    return (
        f"{what.missed} {'time was' if what.missed == 1 else 'times were'} missed from "
        f"{to_text(row['next_at'] or 0)} on, while the runtime did not run or the machine slept; "
        f"{made_up or 'none'} made up for."
    )


def _request(row: ScheduleRow, run_id: str) -> requests.StoredRequest:
    if row["input"] is None:
        body = b""
    else:
        body = json.dumps(row["input"]).encode()

    headers = [["accept", "application/json"], ["content-length", str(len(body))]]
    if body:
        headers.append(["content-type", "application/json"])
    path, _, query = str(row["path"]).partition("?")
    return requests.StoredRequest(
        run_id, row["method"], path, query.encode(), headers, body, timeout=None, caller_kind="user"
    )
