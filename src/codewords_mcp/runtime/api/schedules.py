"""Schedules of workflows."""

from __future__ import annotations

from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.forecasts import forecast_for
from codewords_mcp.runtime.api.paging import check_limit, parse_offset
from codewords_mcp.runtime.model.base import Page
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.schedule import Schedule, ScheduleRequest


class ScheduleApi:
    """Schedules of workflows."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def create(self, caller: Caller, request: ScheduleRequest) -> Schedule:
        """Let a workflow run by itself. Raises InvalidInput (with a caret under what is wrong in a cron expression),
        NotFound, TooBusy.
        """
        refuse_run(caller, "make schedules this way; it calls the service schedule_runs")
        schedule = await self._container.schedules.create(caller, request)
        found = await forecast_for(self._container, caller, schedule.service_id, [schedule])
        return schedule.model_copy(update={"availability": self._container.availability(), "forecast": found})

    async def get(self, caller: Caller, schedule_id: str) -> Schedule:
        """Return one schedule. Raises NotFound."""
        return await self._container.schedules.get(caller.owner, schedule_id, maker=self._maker(caller))

    async def pause(self, caller: Caller, schedule_id: str) -> Schedule:
        """Pause a schedule: it starts no run until it is resumed. Raises NotFound."""
        return await self._container.schedules.pause(caller.owner, schedule_id, maker=self._maker(caller))

    async def resume(self, caller: Caller, schedule_id: str) -> Schedule:
        """Go on with the next time from now. Raises NotFound; Conflict where its only time is over."""
        return await self._container.schedules.resume(caller.owner, schedule_id, maker=self._maker(caller))

    async def delete(self, caller: Caller, schedule_id: str) -> None:
        """Delete a schedule. Its runs stay. Raises NotFound."""
        await self._container.schedules.delete(caller.owner, schedule_id, maker=self._maker(caller))

    async def list(self, caller: Caller, *, service_id: str | None = None) -> list[Schedule]:
        """List schedules by their next time."""
        return await self._container.schedules.list(caller.owner, service_id, maker=self._maker(caller))

    async def page(
        self, caller: Caller, *, service_id: str | None = None, limit: int, cursor: str | None = None
    ) -> Page[Schedule]:
        """A page of the same list; `cursor` counts those before it. Raises InvalidInput."""
        offset = parse_offset(cursor)
        # one more than asked shows whether there is a next page
        found = await self._container.schedules.list(
            caller.owner, service_id, maker=self._maker(caller), limit=check_limit(limit) + 1, offset=offset
        )
        more = str(offset + limit) if len(found) > limit else None
        return Page[Schedule](items=found[:limit], next_cursor=more)

    def _maker(self, caller: Caller) -> str | None:
        """Return the workflow whose schedules a run may see and change: its own; None for other callers."""
        # A run manages the schedules that its workflow made. Those of a person, or of another
        # workflow, are none of its business.
        return self._container.authorities.of(caller).workflow
