"""`schedule_runs`: workflows that run by themselves. `{service_id, cron_expression, input_data}` makes a schedule."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, Field

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.auth.authority import CallTarget
from codewords_mcp.runtime.model.schedule import CatchUp, Overlap, Schedule, ScheduleRequest
from codewords_mcp.runtime.services.base import Input, Operation, Output, Service, ServiceContext

READING = frozenset(("list", "get"))


class ScheduleInput(Input):
    """`operation` is `create` without it; all but `create` and `list` take a `schedule_id`."""

    operation: Literal["create", "list", "get", "pause", "resume", "delete"] | None = None
    schedule_id: str | None = None
    service_id: str | None = Field(default=None, description="The workflow to run.")
    cron: str | None = Field(
        default=None,
        validation_alias=AliasChoices("cron_expression", "cron"),
        description="Five fields, or @daily and its siblings.",
    )
    at: str | None = Field(
        default=None, validation_alias=AliasChoices("at", "run_at"), description="Once, at this time."
    )
    input: Any = Field(default=None, validation_alias=AliasChoices("input_data", "inputs"))
    timezone: str | None = None
    name: str | None = None
    path: str | None = None
    method: str | None = None
    catch_up: CatchUp | None = None
    overlap: Overlap | None = None
    jitter: float | None = Field(default=None, description="Seconds over which runs are spread.")


class ScheduleRecord(Output):
    """A schedule."""

    schedule_id: str | None = None
    service_id: str | None = None
    name: str | None = None
    cron_expression: str | None = None
    timezone: str | None = None
    input_data: Any = None
    next_run_at: str | None = None
    next_runs_at: list[str] | None = None
    paused: bool | None = None
    catch_up: CatchUp | None = None
    overlap: Overlap | None = None
    jitter: float | None = None
    last_run_at: str | None = None
    last_request_id: str | None = None
    last_status: str | None = None
    missed: int | None = None
    note: str | None = None


class ScheduleOutput(ScheduleRecord):
    """A schedule; of `list` only `schedules`, of `delete` only the id and `deleted`."""

    schedules: list[ScheduleRecord] | None = None
    deleted: bool | None = None


async def call(context: ServiceContext, asked: ScheduleInput) -> ScheduleOutput:
    """See `ScheduleInput`. A GET without an operation lists."""
    book, owner, maker = context.parts.schedules, context.caller.owner, context.workflow
    operation = asked.operation or ("list" if context.method == "GET" else "create")
    if operation == "create":
        return _told(await book.create(context.caller, _request(asked), context.made_by))
    if operation == "list":
        return ScheduleOutput(schedules=[*map(_told, await book.list(owner, asked.service_id, maker=maker))])
    if asked.schedule_id is None:
        raise InvalidInput(f"`{operation}` needs a `schedule_id`.", hint="`operation: list` shows them.")
    if operation == "delete":
        await book.delete(owner, asked.schedule_id, maker=maker)
        return ScheduleOutput(schedule_id=asked.schedule_id, deleted=True)

    act = {"get": book.get, "pause": book.pause, "resume": book.resume}[operation]
    return _told(await act(owner, asked.schedule_id, maker=maker))


def _targets(asked: ScheduleInput) -> list[CallTarget]:
    if asked.service_id is None:
        return []
    return [CallTarget("workflow", asked.service_id)]


def _request(asked: ScheduleInput) -> ScheduleRequest:
    if asked.service_id is None:
        raise InvalidInput("`service_id` is missing.", hint="It is the id of the workflow to run.")
    given = asked.model_dump(exclude={"operation", "schedule_id"}, exclude_none=True)
    return ScheduleRequest(**given)


def _told(schedule: Schedule) -> ScheduleOutput:
    def text(moment: Any) -> str | None:
        if moment is None:
            return None
        return moment.isoformat()

    return ScheduleOutput(
        schedule_id=schedule.id,
        service_id=schedule.service_id,
        name=schedule.name,
        cron_expression=schedule.cron,
        timezone=schedule.timezone,
        input_data=schedule.input,
        next_run_at=text(schedule.next_at),
        next_runs_at=[moment.isoformat() for moment in schedule.next],
        paused=schedule.paused,
        catch_up=schedule.catch_up,
        overlap=schedule.overlap,
        jitter=schedule.jitter,
        last_run_at=text(schedule.last_at),
        last_request_id=schedule.last_run_id,
        last_status=schedule.last_status,
        missed=schedule.missed,
        note=schedule.note,
    )


SERVICE = Service(
    name="schedule_runs",
    title="Scheduled runs",
    summary="Workflows that run by themselves: by cron, or once.",
    operations=(
        Operation(
            "Make, list, show, pause, resume or delete schedules",
            ScheduleInput,
            ScheduleOutput,
            call,
            targets=_targets,
            effect="writes",
            reads_when=lambda asked: asked.operation in READING,
            example={"service_id": "greeting_99115e9a", "cron_expression": "0 9 * * MON-FRI"},
        ),
    ),
)
