"""An owner's schedules: created, listed, paused, resumed, deleted."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from sqlalchemy import Connection

from codewords_mcp.errors import Conflict, InvalidInput, NotFound, TooBusy
from codewords_mcp.errors.remedies import Remedy, RemedyAction, show_workflow
from codewords_mcp.runtime.model.caller import Caller, MadeBy
from codewords_mcp.runtime.model.schedule import Schedule, ScheduleRequest
from codewords_mcp.runtime.model.time_bounds import check_seconds
from codewords_mcp.runtime.store import schedules as rows
from codewords_mcp.runtime.store import workflows
from codewords_mcp.runtime.store.clock import now, optional_datetime, to_datetime, to_micros
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.rows import NewSchedule, ScheduleChange, ShownSchedule
from codewords_mcp.runtime.store.unknown_ids import no_workflow
from codewords_mcp.runtime.triggers import cron
from codewords_mcp.runtime.triggers.input_fit import InputFit

SHOWN_TIMES = 3
MAX_JITTER = 3600.0
METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


class ScheduleService:
    """Schedules by owner. `on_change` is called when the next time may have become earlier.

    `await admit(caller, service_id)` raises if the workflow's runs need a consent of its owner first.
    `maker` limits a call to schedules made by runs of this workflow; None stands for all of the
    owner's.
    """

    def __init__(
        self,
        database: Database,
        *,
        limit: int,
        on_change: Callable[[], object],
        admit: Callable[[Caller, str], Awaitable[None]],
        fit: InputFit,
    ) -> None:
        self._db = database
        self._limit = limit
        self._on_change = on_change
        self._admit = admit
        self._fit = fit

    async def create(
        self, caller: Caller, request: ScheduleRequest, made_by: MadeBy | None = None
    ) -> Schedule:
        """Create a schedule. Its runs are the owner's, within the permissions and budget of the
        caller's key.

        `made_by` is the workflow whose run makes it. Raises InvalidInput, NotFound for a workflow
        that is neither the caller's nor public, TooBusy at the limit, Conflict too deep in a chain
        of calls, ConsentNeeded for another owner's workflow without a consent: no person is present
        to ask when a run is due.
        """
        if made_by is not None:
            made_by.check()
        timezone = cron.parse_zone(request.timezone)
        _check_choices(request)
        if (request.cron is None) == (request.at is None):
            raise InvalidInput(
                "A schedule has either a cron expression or one time.",
                hint='Give cron_expression ("0 9 * * *") or at ("2026-12-24T18:00").',
            )

        if request.cron is not None:
            expression: str | None = cron.check(request.cron)
            first = cron.next_times(expression or "", timezone, datetime.now(UTC), 1)[0]
        else:
            expression, first = None, cron.once_at(request.at or "", timezone)
            if first <= datetime.now(UTC):
                raise InvalidInput("This time is in the past.", hint="Give a time in the future.")

        row: NewSchedule = {
            "id": f"sch_{uuid.uuid4().hex}",
            "owner": caller.owner,
            "key_id": caller.key_id,
            "service_id": request.service_id,
            "name": request.name[:200],
            "method": request.method,
            "path": "/" + request.path.lstrip("/"),
            "input": request.input,
            "cron": expression,
            "timezone": request.timezone,
            "catch_up": request.catch_up,
            "overlap": request.overlap,
            "jitter": float(request.jitter),
            "paused": False,
            "first_dry": request.dry_run,
            "created_at": now(),
            "next_at": to_micros(first),
            "missed": 0,
            "held_back": 0,
            "note": "",
            "maker": made_by.workflow if made_by else None,
            "made_by": made_by.as_json() if made_by else None,
        }
        # Now and not at its times, when nobody is there to read of it.
        await self._require_fit(row)
        await self._admit(caller, request.service_id)
        await self._db.write(self._add, row)
        self._on_change()

        return await self.get(caller.owner, str(row["id"]))

    async def _require_fit(self, row: NewSchedule) -> None:
        """Raise InvalidInput if the workflow would refuse the input at each of its times."""
        fault = await self._misfit(row)
        if fault is not None:
            raise InvalidInput(
                f"The input does not fit the workflow: {fault}.",
                remedy=show_workflow(row["service_id"]),
            )

    async def _misfit(self, row: NewSchedule) -> str | None:
        where = row["owner"], row["service_id"], row["method"], row["path"]
        return await self._fit.fault(*where, row["input"])

    async def broken(self, owner: str, service_id: str) -> dict[str, str]:
        """Find schedules whose input doesn't fit the live version: id → the fault."""
        found = await self._db.read(rows.of_owner, owner, service_id)
        active = [row for row in found if not row["paused"] and row["next_at"] is not None]
        fault = {str(row["id"]): await self._misfit(row) for row in active}
        return {schedule_id: fault for schedule_id, fault in fault.items() if fault}

    def _add(self, connection: Connection, row: NewSchedule) -> None:
        workflow = workflows.get(connection, row["service_id"])
        if workflow is None or not (workflow.owner == row["owner"] or workflow.public):
            raise no_workflow(connection, row["owner"], row["service_id"])

        # A note and no refusal: two equal schedules can be meant.
        if other := rows.find_equal(connection, row):
            row["note"] = f"The schedule {other} runs the same at the same times."
        # In the transaction that adds the row, so that requests at the same time cannot pass the
        # limit together.
        if rows.count(connection, row["owner"]) >= self._limit:
            raise TooBusy(
                f"The limit of {self._limit} schedules is reached.",
                retry_after=60,
                hint="Delete one, or raise CODEWORDS_SCHEDULE_LIMIT.",
            )

        rows.add(connection, row)

    async def list(
        self,
        owner: str,
        service_id: str | None = None,
        *,
        maker: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Schedule]:
        """List schedules, those that run next first."""
        found = await self._db.read(rows.of_owner, owner, service_id, maker, limit=limit, offset=offset)
        # Next times of thousands take seconds, in which the runtime has to answer others.
        return await asyncio.to_thread(lambda: [_to_schedule(row) for row in found])

    async def count(self, owner: str, service_id: str | None = None) -> int:
        """Count schedules, with `service_id` only those of this workflow."""
        return await self._db.read(rows.count, owner, service_id)

    async def get(self, owner: str, schedule_id: str, *, maker: str | None = None) -> Schedule:
        """Return a schedule. Raises NotFound."""
        row = await self._db.read(rows.get, schedule_id, owner, maker)
        if row is None:
            raise _unknown_schedule()
        return _to_schedule(row)

    async def pause(self, owner: str, schedule_id: str, *, maker: str | None = None) -> Schedule:
        """Pause a schedule: no run starts until it is resumed. Raises NotFound."""
        await self.get(owner, schedule_id, maker=maker)
        # Times that are held back are given up, as those within the pause are.
        await self._db.write(rows.change, schedule_id, {"paused": True, "held_back": 0})
        return await self.get(owner, schedule_id)

    async def resume(self, owner: str, schedule_id: str, *, maker: str | None = None) -> Schedule:
        """Resume at the next time from now: times within the pause don't count as missed. Raises
        NotFound, Conflict.
        """
        row = await self._db.read(rows.get, schedule_id, owner, maker)
        if row is None:
            raise _unknown_schedule()
        if not row["paused"]:
            return _to_schedule(row)

        next_time = optional_datetime(row["next_at"])
        # Times within the pause do not count as missed.
        if row["cron"] is not None:
            next_time = cron.next_times(row["cron"], cron.parse_zone(row["timezone"]), datetime.now(UTC), 1)[
                0
            ]
        if next_time is None or next_time <= datetime.now(UTC):
            raise Conflict("The single time of this schedule is in the past.", hint="Create a new one.")

        values: ScheduleChange = {"paused": False, "next_at": to_micros(next_time), "note": ""}
        await self._db.write(rows.change, schedule_id, values)
        self._on_change()

        return await self.get(owner, schedule_id)

    async def delete(self, owner: str, schedule_id: str, *, maker: str | None = None) -> None:
        """Delete a schedule; its runs stay. Raises NotFound."""
        if not await self._db.write(rows.remove, schedule_id, owner, maker):
            raise _unknown_schedule()


def _unknown_schedule() -> NotFound:
    return NotFound("No schedule has this id.", remedy=Remedy(RemedyAction.LIST_SCHEDULES))


def _check_choices(request: ScheduleRequest) -> None:
    if request.method not in METHODS:
        raise InvalidInput(f"`method` must be one of {', '.join(METHODS)}.")
    check_seconds(request.jitter, "jitter", high=MAX_JITTER)


def _to_schedule(row: ShownSchedule) -> Schedule:
    next_at = optional_datetime(row["next_at"])
    next_time: list[datetime] = []
    if next_at is not None and not row["paused"]:
        next_time = [next_at]
        if row["cron"] is not None:
            next_time += cron.next_times(
                row["cron"], cron.parse_zone(row["timezone"]), next_at, SHOWN_TIMES - 1
            )

    return Schedule(
        id=row["id"],
        service_id=row["service_id"],
        name=row["name"],
        cron=row["cron"],
        timezone=row["timezone"],
        method=row["method"],
        path=row["path"],
        input=row["input"],
        catch_up=row["catch_up"],
        overlap=row["overlap"],
        jitter=row["jitter"],
        paused=row["paused"],
        first_dry=bool(row["first_dry"]),
        last_run_id=row["last_run_id"],
        missed=row["missed"],
        note=row["note"],
        created_at=to_datetime(row["created_at"]),
        next_at=None if row["paused"] else next_at,
        next=next_time,
        last_status=row["last_status"],
        last_error=row["last_error"]["message"] if row["last_error"] else None,
        last_at=optional_datetime(row["last_at"]),
        maker=row["maker"],
    )
