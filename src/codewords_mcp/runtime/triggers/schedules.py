"""The owner's schedules: made, shown, paused, gone on with, deleted."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping

from codewords_mcp.errors import Conflict, InvalidInput, NotFound, TooBusy
from codewords_mcp.runtime.model.caller import Caller, MadeBy
from codewords_mcp.runtime.model.schedule import Schedule, ScheduleRequest
from codewords_mcp.runtime.model.time_bounds import check_seconds
from codewords_mcp.runtime.store import schedules as rows
from codewords_mcp.runtime.store import workflows
from codewords_mcp.runtime.store.clock import now, optional_datetime, to_datetime, to_micros
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.triggers import cron
from codewords_mcp.runtime.workflows.validation.input_fit import find_misfit

SHOWN = 3
MAX_JITTER = 3600.0
METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


class ScheduleService:
    """Schedules by owner. `changed` is called when the next time may have become an earlier one.

    `maker`: only schedules that the runs of this workflow made; None for all of the owner's.
    """

    def __init__(self, database: Database, *, limit: int) -> None:
        self._db = database
        self._limit = limit
        self.changed: Callable[[], None] = lambda: None
        self.admit: Callable[[Caller, str], Awaitable[None]] = _admit_all
        """`await admit(caller, service_id)`: raises where a run of it could not begin before its owner agrees."""

    async def create(self, caller: Caller, asked: ScheduleRequest, made_by: MadeBy | None = None) -> Schedule:
        """Its runs are the owner's, and keep to what the caller's key may ask and spend. `made_by`: the workflow whose run asks.

        Raises InvalidInput, NotFound for a workflow that is not theirs or public, TooBusy at the limit, Conflict too deep in a
        chain of calls, ConsentNeeded for another owner's workflow that this one has not agreed to: nobody is there at its times.
        """
        if made_by is not None:
            made_by.check()
        where = cron.zone(asked.timezone)
        _check_choices(asked)
        if (asked.cron is None) == (asked.at is None):
            raise InvalidInput(
                "A schedule has either a cron expression or one time.",
                hint='Give cron_expression ("0 9 * * *") or at ("2026-12-24T18:00").',
            )

        if asked.cron is not None:
            expression: str | None = cron.check(asked.cron)
            first = cron.next_times(expression or "", where, datetime.now(UTC), 1)[0]
        else:
            expression, first = None, cron.once_at(asked.at or "", where)
            if first <= datetime.now(UTC):
                raise InvalidInput("This time is over.", hint="Give a time that is still to come.")

        row = {
            "id": f"sch_{uuid.uuid4().hex}",
            "owner": caller.owner,
            "key_id": caller.key_id,
            "service_id": asked.service_id,
            "name": asked.name[:200],
            "method": asked.method,
            "path": "/" + asked.path.lstrip("/"),
            "input": asked.input,
            "cron": expression,
            "timezone": asked.timezone,
            "catch_up": asked.catch_up,
            "overlap": asked.overlap,
            "jitter": float(asked.jitter),
            "paused": False,
            "created_at": now(),
            "next_at": to_micros(first),
            "missed": 0,
            "held_back": 0,
            "note": "",
            "maker": made_by.workflow if made_by else None,
            "made_by": made_by.as_json() if made_by else None,
        }
        await self._require_fit(row)
        await self.admit(caller, asked.service_id)
        await self._db.write(self._add, row)
        self.changed()

        return await self.get(caller.owner, str(row["id"]))

    async def _require_fit(self, row: dict[str, Any]) -> None:
        """Raises InvalidInput where the workflow would refuse the input at each of its times."""
        wrong = await self._misfit(row)
        if wrong is not None:
            raise InvalidInput(
                f"The input does not fit the workflow: {wrong}.",
                hint=f"`codewords show {row['service_id']}` shows what its routes take.",
            )

    async def _misfit(self, row: Mapping[Any, Any]) -> str | None:
        def openapi(connection: Connection) -> dict[str, Any] | None:
            workflow = workflows.get(connection, row["service_id"])
            if workflow is None or not (workflow.owner == row["owner"] or workflow.public):
                return None
            version = workflows.version(connection, workflow.id, workflow.active_version)
            if version:
                return version.openapi
            return None

        document = await self._db.read(openapi)
        if document is None:
            return None

        return await asyncio.to_thread(find_misfit, document, row["method"], row["path"], row["input"])

    async def broken(self, owner: str, service_id: str) -> dict[str, str]:
        """Schedules whose input does not fit the version that is live: id to what is wrong."""
        found = await self._db.read(rows.of_owner, owner, service_id)
        active = [row for row in found if not row["paused"] and row["next_at"] is not None]
        wrong = {str(row["id"]): await self._misfit(row) for row in active}
        return {schedule_id: what for schedule_id, what in wrong.items() if what}

    def _add(self, connection: Connection, row: dict[str, Any]) -> None:
        workflow = workflows.get(connection, row["service_id"])
        if workflow is None or not (workflow.owner == row["owner"] or workflow.public):
            raise NotFound("There is no workflow of that id.", hint="`codewords list` shows your workflows.")

        if other := rows.find_equal(connection, row):
            row["note"] = f"The schedule {other} does the same at the same times."
        if rows.count(connection, row["owner"]) >= self._limit:
            raise TooBusy(
                f"There are {self._limit} schedules, which is the limit.",
                retry_after=60,
                hint="Delete one, or raise CODEWORDS_SCHEDULE_LIMIT.",
            )

        rows.add(connection, row)

    async def list(
        self, owner: str, service_id: str | None = None, *, maker: str | None = None
    ) -> list[Schedule]:
        """Those that come next first."""
        found = await self._db.read(rows.of_owner, owner, service_id, maker)
        return [_schedule(row) for row in found]

    async def get(self, owner: str, schedule_id: str, *, maker: str | None = None) -> Schedule:
        """Raises NotFound."""
        row = await self._db.read(rows.get, schedule_id, owner, maker)
        if row is None:
            raise _unknown()
        return _schedule(row)

    async def pause(self, owner: str, schedule_id: str, *, maker: str | None = None) -> Schedule:
        """Nothing runs until it is resumed. Raises NotFound."""
        await self.get(owner, schedule_id, maker=maker)
        await self._db.write(rows.change, schedule_id, {"paused": True, "held_back": 0})
        return await self.get(owner, schedule_id)

    async def resume(self, owner: str, schedule_id: str, *, maker: str | None = None) -> Schedule:
        """Go on with its next time from now: a pause is nothing that was missed. Raises NotFound, Conflict."""
        row = await self._db.read(rows.get, schedule_id, owner, maker)
        if row is None:
            raise _unknown()
        if not row["paused"]:
            return _schedule(row)

        coming = optional_datetime(row["next_at"])
        if row["cron"] is not None:
            coming = cron.next_times(row["cron"], cron.zone(row["timezone"]), datetime.now(UTC), 1)[0]
        if coming is None or coming <= datetime.now(UTC):
            raise Conflict("The one time of this schedule is over.", hint="Make a new one.")

        values = {"paused": False, "next_at": to_micros(coming), "note": ""}
        await self._db.write(rows.change, schedule_id, values)
        self.changed()

        return await self.get(owner, schedule_id)

    async def delete(self, owner: str, schedule_id: str, *, maker: str | None = None) -> None:
        """Its runs stay. Raises NotFound."""
        if not await self._db.write(rows.remove, schedule_id, owner, maker):
            raise _unknown()


def _unknown() -> NotFound:
    return NotFound("There is no schedule of that id.", hint="`codewords schedules list` shows yours.")


def _check_choices(asked: ScheduleRequest) -> None:
    if asked.method not in METHODS:
        raise InvalidInput(f"`method` must be one of {', '.join(METHODS)}.")
    check_seconds(asked.jitter, "jitter", high=MAX_JITTER)


def _schedule(row: RowMapping) -> Schedule:
    next_at = optional_datetime(row["next_at"])
    coming: list[datetime] = []
    if next_at is not None and not row["paused"]:
        coming = [next_at]
        if row["cron"] is not None:
            coming += cron.next_times(row["cron"], cron.zone(row["timezone"]), next_at, SHOWN - 1)

    plain = ("id", "service_id", "name", "cron", "timezone", "method", "path", "input", "catch_up", "overlap",
             "jitter", "paused", "last_run_id", "missed", "note")  # fmt: skip
    return Schedule(
        **{name: row[name] for name in plain},
        created_at=to_datetime(row["created_at"]),
        next_at=None if row["paused"] else next_at,
        next=coming,
        last_status=row["last_status"],
        last_error=row["last_error"]["message"] if row["last_error"] else None,
        last_at=optional_datetime(row["last_at"]),
    )


async def _admit_all(_caller: Caller, _service_id: str) -> None:
    """Nothing is asked."""
