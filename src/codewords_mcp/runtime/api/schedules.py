"""The facade's part about workflows that run by themselves at their times."""

from __future__ import annotations

from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.availability import Availability
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.schedule import Schedule, ScheduleRequest


class ScheduleCalls:
    """What `Runtime` offers about schedules."""

    _house: Container

    def availability(self) -> Availability:
        """Whether the address of this runtime lasts, and what starts the runtime again."""
        return self._house.availability()

    def _maker(self, caller: Caller) -> str | None:
        """A run sees and changes what its own workflow made only."""
        return self._house.authorities.of(caller).workflow

    async def create_schedule(self, caller: Caller, asked: ScheduleRequest) -> Schedule:
        """Let a workflow run by itself. Raises InvalidInput (with a caret under what is wrong in a cron expression),
        NotFound, TooBusy.
        """
        refuse_run(caller, "make schedules this way; it calls the service schedule_runs")
        schedule = await self._house.schedules.create(caller, asked)
        return schedule.model_copy(update={"availability": self.availability()})

    async def list_schedules(self, caller: Caller, *, service_id: str | None = None) -> list[Schedule]:
        """Those that come next first."""
        return await self._house.schedules.list(caller.owner, service_id, maker=self._maker(caller))

    async def get_schedule(self, caller: Caller, schedule_id: str) -> Schedule:
        """Raises NotFound."""
        return await self._house.schedules.get(caller.owner, schedule_id, maker=self._maker(caller))

    async def pause_schedule(self, caller: Caller, schedule_id: str) -> Schedule:
        """Nothing runs until it is resumed. Raises NotFound."""
        return await self._house.schedules.pause(caller.owner, schedule_id, maker=self._maker(caller))

    async def resume_schedule(self, caller: Caller, schedule_id: str) -> Schedule:
        """Go on with the next time from now. Raises NotFound; Conflict where its only time is over."""
        return await self._house.schedules.resume(caller.owner, schedule_id, maker=self._maker(caller))

    async def delete_schedule(self, caller: Caller, schedule_id: str) -> None:
        """Its runs stay. Raises NotFound."""
        await self._house.schedules.delete(caller.owner, schedule_id, maker=self._maker(caller))
