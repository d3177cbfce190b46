"""Triggers of every kind: schedules, webhooks and event sources."""

from __future__ import annotations

from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.paging import check_limit, parse_offset
from codewords_mcp.runtime.api.runs import RunApi
from codewords_mcp.runtime.api.schedules import ScheduleApi
from codewords_mcp.runtime.api.webhooks import WebhookApi
from codewords_mcp.runtime.model.base import Page
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.run import TriggerRef
from codewords_mcp.runtime.model.schedule import Schedule, ScheduleRequest
from codewords_mcp.runtime.model.trigger import (
    AddedTrigger,
    ScheduleOptions,
    Trigger,
    TriggerChanges,
    TriggerEvent,
    TriggerKind,
    TriggerRequest,
    TriggerSample,
    TriggerTest,
    WebhookOptions,
)
from codewords_mcp.runtime.model.webhook import Webhook, WebhookKind

OptionsT = TypeVar("OptionsT", bound=BaseModel)
SCHEDULE = "schedule"
_SCHEDULE_ID, _WEBHOOK_ID = "sch_", "wh_"
_WEBHOOK_TITLES: dict[str, str] = {
    "plain": "Webhook, not signed: its address is the secret",
    "hub": "Webhook signed like GitHub's",
    "standard": "Webhook signed by standardwebhooks.com",
    "stripe": "Webhook signed like Stripe's",
    "slack": "Events of Slack",
    "whatsapp": "Messages of WhatsApp",
}


class TriggerApi:
    """Triggers of every kind. An id tells the kind: sch_… a schedule, wh_… a webhook, trg_… an event source."""

    def __init__(
        self, container: Container, schedules: ScheduleApi, webhooks: WebhookApi, runs: RunApi
    ) -> None:
        self._container = container
        self._schedules = schedules
        self._webhooks = webhooks
        self._runs = runs

    def kinds(self) -> list[TriggerKind]:
        """Return all kinds with their options as JSON Schema."""
        webhook_options = WebhookOptions.model_json_schema()
        return [
            TriggerKind(
                kind=SCHEDULE, title="Times of the clock", options=ScheduleOptions.model_json_schema()
            ),
            *(
                TriggerKind(kind=kind, title=title, options=webhook_options)
                for kind, title in _WEBHOOK_TITLES.items()
            ),
            *self._container.triggers.kinds(),
        ]

    async def add(self, caller: Caller, request: TriggerRequest) -> AddedTrigger:
        """Add a trigger of any kind. One of an event source is shown with its newest item, which starts nothing.

        Raises InvalidInput, NotFound, TooBusy, ConsentNeeded, and what its source raises.
        """
        refuse_run(caller, "add triggers")
        self._check_kind(request.kind)
        if request.kind == SCHEDULE:
            return AddedTrigger(trigger=await self._add_schedule(caller, request))
        if request.kind in get_args(WebhookKind):
            options = _read_options(WebhookOptions, request)
            webhook = await self._webhooks.create(
                caller,
                request.service_id,
                kind=request.kind,
                path=request.path,
                name=request.name,
                secret=options.secret,
            )
            return AddedTrigger(trigger=of_webhook(webhook, caller))

        sample = None
        # Before the trigger is added, so that a source that fails is found out now, not at a look.
        if request.check:
            sample = await self._container.triggers.sample(caller.owner, request.kind, request.options)
        added = await self._container.triggers.add(caller, request)
        misfit = None
        if sample is not None and sample.found:
            where = caller.owner, added.service_id, "POST", added.path
            misfit = await self._container.input_fit.fault(*where, sample.data)
        return AddedTrigger(trigger=added, sample=sample, misfit=misfit)

    def _check_kind(self, kind: str) -> None:
        known = [one.kind for one in self.kinds()]
        if kind not in known:
            raise InvalidInput(f"`kind` must be one of {', '.join(known)}.")

    async def _add_schedule(self, caller: Caller, request: TriggerRequest) -> Trigger:
        options = _read_options(ScheduleOptions, request)
        schedule = ScheduleRequest(
            service_id=request.service_id,
            name=request.name,
            path=request.path,
            **options.model_dump(),
        )
        return of_schedule(await self._schedules.create(caller, schedule))

    async def get(self, caller: Caller, trigger_id: str) -> Trigger:
        """Return one trigger. Raises NotFound."""
        refuse_run(caller, "read triggers")
        if trigger_id.startswith(_SCHEDULE_ID):
            return of_schedule(await self._schedules.get(caller, trigger_id))
        if trigger_id.startswith(_WEBHOOK_ID):
            return of_webhook(await self._webhooks.get(caller, trigger_id), caller)
        return await self._container.triggers.get(caller.owner, trigger_id)

    async def list(self, caller: Caller, *, service_id: str | None = None) -> list[Trigger]:
        """List triggers: schedules by their next time, then webhooks and event sources, newest first."""
        refuse_run(caller, "list triggers")
        schedules = await self._schedules.list(caller, service_id=service_id)
        webhooks = await self._webhooks.list(caller)
        return [
            *map(of_schedule, schedules),
            *(of_webhook(hook, caller) for hook in webhooks if service_id in {None, hook.service_id}),
            *await self._container.triggers.list(caller.owner, service_id),
        ]

    async def page(
        self,
        caller: Caller,
        *,
        service_id: str | None = None,
        limit: int,
        cursor: str | None = None,
    ) -> Page[Trigger]:
        """A page of the same list, read from the store as a page; `cursor` counts those before it. Raises InvalidInput."""
        refuse_run(caller, "list triggers")
        offset, owner = parse_offset(cursor), caller.owner
        # one more than asked shows whether there is a next page
        size = check_limit(limit) + 1
        found: list[Trigger] = []

        schedules = await self._container.schedules.count(owner, service_id)
        if offset < schedules:
            part = await self._container.schedules.list(owner, service_id, limit=size, offset=offset)
            found += map(of_schedule, part)
        if len(found) < size:
            # An owner has a hundred webhooks at most.
            hooks = [
                hook for hook in await self._webhooks.list(caller) if service_id in {None, hook.service_id}
            ]
            begin = max(0, offset - schedules)
            found += [of_webhook(hook, caller) for hook in hooks[begin : begin + size - len(found)]]
            if len(found) < size:
                begin = max(0, offset - schedules - len(hooks))
                left = size - len(found)
                found += await self._container.triggers.list(owner, service_id, limit=left, offset=begin)

        more = str(offset + limit) if len(found) > limit else None
        return Page[Trigger](items=found[:limit], next_cursor=more)

    async def change(self, caller: Caller, trigger_id: str, changes: TriggerChanges) -> Trigger:
        """Change the trigger of an event source. Raises NotFound, InvalidInput also for a schedule or webhook."""
        refuse_run(caller, "change triggers")
        if trigger_id.startswith((_SCHEDULE_ID, _WEBHOOK_ID)):
            raise InvalidInput(
                "Schedules and webhooks are not changed.", hint="Add a new one, and remove this one."
            )
        return await self._container.triggers.change(caller.owner, trigger_id, changes)

    async def pause(self, caller: Caller, trigger_id: str) -> Trigger:
        """Pause a trigger: it starts nothing until it is resumed. Raises NotFound."""
        refuse_run(caller, "pause triggers")
        if trigger_id.startswith(_SCHEDULE_ID):
            return of_schedule(await self._schedules.pause(caller, trigger_id))
        if trigger_id.startswith(_WEBHOOK_ID):
            return of_webhook(await self._webhooks.pause(caller, trigger_id), caller)
        return await self._container.triggers.pause(caller.owner, trigger_id)

    async def resume(self, caller: Caller, trigger_id: str, *, skip_waiting: bool = False) -> Trigger:
        """Resume a trigger; `skip_waiting`: an event source begins anew. Raises NotFound, Conflict."""
        refuse_run(caller, "resume triggers")
        if trigger_id.startswith(_SCHEDULE_ID):
            return of_schedule(await self._schedules.resume(caller, trigger_id))
        if trigger_id.startswith(_WEBHOOK_ID):
            return of_webhook(await self._webhooks.resume(caller, trigger_id), caller)
        return await self._container.triggers.resume(caller.owner, trigger_id, skip_waiting=skip_waiting)

    async def remove(self, caller: Caller, trigger_id: str) -> None:
        """Remove a trigger; its runs stay. Raises NotFound."""
        refuse_run(caller, "remove triggers")
        if trigger_id.startswith(_SCHEDULE_ID):
            await self._schedules.delete(caller, trigger_id)
        elif trigger_id.startswith(_WEBHOOK_ID):
            await self._webhooks.delete(caller, trigger_id)
        else:
            await self._container.triggers.remove(caller.owner, trigger_id)

    async def events(self, caller: Caller, trigger_id: str, *, limit: int = 50) -> list[TriggerEvent]:
        """Return the newest events of an event source, the last one first. Raises NotFound."""
        refuse_run(caller, "read events")
        return await self._container.triggers.events(caller.owner, trigger_id, check_limit(limit))

    async def sample(self, caller: Caller, kind: str, options: dict[str, Any]) -> TriggerSample:
        """Return the newest item of an event source, before there is a trigger. Raises InvalidInput and what it raises."""
        refuse_run(caller, "look at event sources")
        self._check_kind(kind)
        return await self._container.triggers.sample(caller.owner, kind, options)

    async def test(self, caller: Caller, trigger_id: str, test: TriggerTest) -> TriggerSample:
        """Test a trigger, also a paused one: look at the newest item of its source, and start a run with it if asked.

        A webhook receives `data` as if its sender had signed it; a schedule runs with its input. Raises NotFound,
        InvalidInput, TooBusy, and what the source raises.
        """
        refuse_run(caller, "test triggers")
        trigger = await self.get(caller, trigger_id)
        if trigger.webhook is not None:
            body = {"test": True} if test.data is None else test.data
            delivery = await self._webhooks.send_test(caller, trigger_id, body)
            started = delivery.runs[0].run_id if delivery.runs else None
            if started is None and delivery.status != "received":
                raise InvalidInput(f"The test started no run: {delivery.reason or delivery.status}")
            return TriggerSample(found=True, key=delivery.id, data=body, run_id=started)

        if trigger.schedule is not None:
            sample = TriggerSample(found=True, key="test", data=trigger.schedule.input)
        elif test.data is not None:
            sample = TriggerSample(found=True, key="test", data=test.data)
        else:
            options = trigger.options
            sample = await self._container.triggers.sample(caller.owner, trigger.kind, options)
        if not test.run or not sample.found:
            return sample
        return sample.model_copy(update={"run_id": await self._run(caller, trigger, sample)})

    async def _run(self, caller: Caller, trigger: Trigger, sample: TriggerSample) -> str:
        headers = {"x-trigger-id": trigger.id, "x-trigger-kind": trigger.kind, "x-trigger-event": "test"}
        run = await self._runs.call(
            caller,
            trigger.service_id,
            path=trigger.path,
            data=sample.data,
            method=trigger.schedule.method if trigger.schedule is not None else "POST",
            headers=headers,
            wait=0,
            trigger=TriggerRef(kind=trigger.kind, id=trigger.id, event="test"),
        )
        return run.id


def _read_options(model: type[OptionsT], request: TriggerRequest) -> OptionsT:
    try:
        return model.model_validate(request.options)
    except ValidationError as invalid:
        names = ", ".join(model.model_fields)
        fault = invalid.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise InvalidInput(
            f"The options do not fit the kind {request.kind}: `{where}`: {fault['msg']}.",
            hint=f"Its options are {names}.",
        ) from None


def of_schedule(schedule: Schedule) -> Trigger:
    """A schedule as a trigger."""
    return Trigger(
        id=schedule.id,
        kind=SCHEDULE,
        service_id=schedule.service_id,
        name=schedule.name,
        path=schedule.path,
        state="paused" if schedule.paused else "active",
        note=schedule.note,
        created_at=schedule.created_at,
        next_at=schedule.next_at,
        last_at=schedule.last_at,
        last_run_id=schedule.last_run_id,
        missed=schedule.missed,
        schedule=schedule,
    )


def of_webhook(webhook: Webhook, caller: Caller) -> Trigger:
    """A webhook as a trigger. Its address is enough to start runs, so that only who may do so is shown it."""
    if caller.can("run"):
        shown = webhook
    else:
        shown = webhook.model_copy(update={"url": ""})
    return Trigger(
        id=webhook.id,
        kind=webhook.kind,
        service_id=webhook.service_id,
        name=webhook.name,
        path=webhook.path,
        state="paused" if webhook.paused else "active",
        created_at=webhook.created_at,
        url=shown.url or None,
        secret=webhook.secret,
        webhook=shown,
    )
