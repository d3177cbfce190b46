"""`schedule_runs`: workflows that run by themselves. `{service_id, cron_expression, input_data}` makes a schedule."""

from __future__ import annotations

from typing import Any

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.models import Caller, Schedule, ScheduleRequest
from codewords_mcp.runtime.schedules.book import ScheduleBook

OPERATIONS = ("create", "list", "get", "pause", "resume", "delete")
_SPELLINGS = {
    "service_id": "service_id",
    "cron_expression": "cron",
    "cron": "cron",
    "at": "at",
    "run_at": "at",
    "input_data": "input",
    "inputs": "input",
    "timezone": "timezone",
    "name": "name",
    "path": "path",
    "method": "method",
    "catch_up": "catch_up",
    "overlap": "overlap",
    "jitter": "jitter",
}
"""Field of a call: field of the request. Both spellings that public scripts use are read."""
_TEXT = frozenset(_SPELLINGS.values()) - {"input", "jitter"}


class ScheduleRuns:
    """See `Service`."""

    name = "schedule_runs"

    def __init__(self, book: ScheduleBook) -> None:
        self._book = book

    async def answer(self, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
        """See `Service`. `operation` is `create` without it; all but `create` and `list` take a `schedule_id`."""
        operation = data.get("operation", "create")
        if operation not in OPERATIONS:
            raise InvalidInput(f"`operation` must be one of {', '.join(OPERATIONS)}.")
        if operation == "create":
            return wire(await self._book.create(caller.owner, _request(data)))
        if operation == "list":
            return {"schedules": [wire(one) for one in await self._book.list(caller.owner)]}
        schedule_id = data.get("schedule_id")
        if not isinstance(schedule_id, str):
            raise InvalidInput(f"`{operation}` needs a `schedule_id`.", hint="`operation: list` shows them.")
        if operation == "delete":
            await self._book.delete(caller.owner, schedule_id)
            return {"schedule_id": schedule_id, "deleted": True}
        act = {"get": self._book.get, "pause": self._book.pause, "resume": self._book.resume}[operation]
        return wire(await act(caller.owner, schedule_id))


def _request(data: dict[str, Any]) -> ScheduleRequest:
    fields: dict[str, Any] = {}
    for name, value in data.items():
        if name == "operation" or value is None:
            continue
        field = _SPELLINGS.get(name)
        if field is None:
            raise InvalidInput(
                f"This call takes {', '.join(f'`{known}`' for known in _SPELLINGS)}, nothing else."
            )
        if field in _TEXT and not isinstance(value, str):
            raise InvalidInput(f"`{name}` must be a string.")
        if field == "jitter" and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InvalidInput("`jitter` must be a number of seconds.")
        fields[field] = value
    if "service_id" not in fields:
        raise InvalidInput("`service_id` is missing.", hint="It is the id of the workflow to run.")
    return ScheduleRequest(**fields)


def wire(schedule: Schedule) -> dict[str, Any]:
    """A schedule as this service tells it."""

    def text(moment: Any) -> str | None:
        return None if moment is None else moment.isoformat()

    return {
        "schedule_id": schedule.id,
        "service_id": schedule.service_id,
        "name": schedule.name,
        "cron_expression": schedule.cron,
        "timezone": schedule.timezone,
        "input_data": schedule.input,
        "next_run_at": text(schedule.next_at),
        "next_runs_at": [text(moment) for moment in schedule.next],
        "paused": schedule.paused,
        "catch_up": schedule.catch_up,
        "overlap": schedule.overlap,
        "jitter": schedule.jitter,
        "last_run_at": text(schedule.last_at),
        "last_request_id": schedule.last_run_id,
        "missed": schedule.missed,
        "note": schedule.note,
    }
