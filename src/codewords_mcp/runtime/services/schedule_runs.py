"""`schedule_runs`: schedules of workflows. `{service_id, cron_expression, input_data}` creates one."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, Field

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.auth.authority import CallTarget
from codewords_mcp.runtime.model.schedule import CatchUp, Overlap, Schedule, ScheduleRequest
from codewords_mcp.runtime.services.base import Input, Operation, Output, ReadsWhen, Service, ServiceContext

READ_OPERATIONS = frozenset(("list", "get"))


class ScheduleInput(Input):
    """`operation` defaults to `create`; all but `create` and `list` need a `schedule_id`."""

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
    """One schedule."""

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
    """A schedule. `list` returns only `schedules`, `delete` only the id and `deleted`."""

    schedules: list[ScheduleRecord] | None = None
    deleted: bool | None = None


async def call(context: ServiceContext, params: ScheduleInput) -> ScheduleOutput:
    """Perform the operation of the input; for a GET the default is `list`."""
    schedules, owner, maker = context.dependencies.schedules, context.caller.owner, context.workflow
    operation = params.operation or ("list" if context.method == "GET" else "create")
    if operation == "create":
        return _to_output(await schedules.create(context.caller, _request(params), context.made_by))
    if operation == "list":
        return ScheduleOutput(
            schedules=[*map(_to_output, await schedules.list(owner, params.service_id, maker=maker))]
        )
    if params.schedule_id is None:
        raise InvalidInput(f"`{operation}` needs a `schedule_id`.", hint="`operation: list` shows them.")
    if operation == "delete":
        await schedules.delete(owner, params.schedule_id, maker=maker)
        return ScheduleOutput(schedule_id=params.schedule_id, deleted=True)

    operate = {"get": schedules.get, "pause": schedules.pause, "resume": schedules.resume}[operation]
    return _to_output(await operate(owner, params.schedule_id, maker=maker))


def _targets(params: ScheduleInput) -> list[CallTarget]:
    if params.service_id is None:
        # Such a call is about schedules that exist, and a workflow finds only those that it made (`maker`).
        return []
    return [CallTarget("workflow", params.service_id)]


def _request(params: ScheduleInput) -> ScheduleRequest:
    if params.service_id is None:
        raise InvalidInput("`service_id` is missing.", hint="It is the id of the workflow to run.")
    fields = params.model_dump(exclude={"operation", "schedule_id"}, exclude_none=True)
    return ScheduleRequest(**fields)


def _to_output(schedule: Schedule) -> ScheduleOutput:
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
            reads_when=ReadsWhen("operation", READ_OPERATIONS),
            example={"service_id": "greeting_99115e9a", "cron_expression": "0 9 * * MON-FRI"},
        ),
    ),
)
