"""An owner's triggers of event sources: added, listed, changed, paused, resumed, tested, removed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Connection

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.errors import InvalidInput, NotFound, TooBusy, UpstreamTimedOut
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.run_filter import EVENT_TRIGGER
from codewords_mcp.runtime.model.trigger import (
    Trigger,
    TriggerChanges,
    TriggerEvent,
    TriggerKind,
    TriggerRequest,
    TriggerSample,
)
from codewords_mcp.runtime.store import ended_runs, trigger_events, workflows
from codewords_mcp.runtime.store import triggers as rows
from codewords_mcp.runtime.store.clock import now, optional_datetime, to_datetime
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.triggers import TriggerChange, TriggerRow
from codewords_mcp.runtime.store.unknown_ids import no_workflow
from codewords_mcp.runtime.triggers.sources.base import EventSource, SourceTools
from codewords_mcp.runtime.triggers.sources.registry import find_source, source_kinds
from codewords_mcp.runtime.triggers.sources.run_ended import RunEndedOptions
from codewords_mcp.runtime.triggers.trigger_options import (
    check_catch_up,
    check_options,
    interval_of,
    stored_options,
    watched_workflow,
)

SAMPLE_TIMEOUT = 30.0
"""Seconds that a source may take to show its newest item."""


class TriggerService:
    """Triggers of event sources by owner. `on_change` is called when a look or an event may have become due.

    `await admit(caller, service_id)` raises if the workflow's runs need a consent of its owner first.
    `tools(owner)` is what sources use for this owner.
    """

    def __init__(
        self,
        database: Database,
        *,
        limit: int,
        tools: Callable[[str], SourceTools],
        on_change: Callable[[], object],
        admit: Callable[[Caller, str], Awaitable[None]],
    ) -> None:
        self._db = database
        self._limit = limit
        self._tools = tools
        self._on_change = on_change
        self._admit = admit

    def kinds(self) -> list[TriggerKind]:
        """Return the kinds of event sources with their options."""
        return [
            TriggerKind(
                kind=kind,
                title=source.title,
                options=source.Options.model_json_schema(),
                interval_s=source.interval_s if source.polled else None,
                min_interval_s=source.min_interval_s if source.polled else None,
                has_items=True,
            )
            for kind in source_kinds()
            for source in (find_source(kind),)
        ]

    async def add(self, caller: Caller, request: TriggerRequest) -> Trigger:
        """Add a trigger. Its first look sets where it begins: what is there already starts nothing.

        Its runs are the owner's, within the permissions and budget of the caller's key. Raises InvalidInput, NotFound for a
        workflow that is neither the caller's nor public, TooBusy at the limit, ConsentNeeded.
        """
        source = find_source(request.kind)
        options = check_options(source, request.options)
        interval_s = interval_of(source, request.interval_s)
        check_catch_up(request.catch_up)
        at = now()
        row: TriggerRow = {
            "id": f"{EVENT_TRIGGER}{uuid.uuid4().hex}",
            "owner": caller.owner,
            "key_id": caller.key_id,
            "kind": request.kind,
            "service_id": request.service_id,
            "watches": watched_workflow(options),
            "path": "/" + request.path.lstrip("/"),
            "name": request.name[:200],
            "options": stored_options(options),
            "interval_s": interval_s,
            "catch_up": request.catch_up,
            "state": None,
            "paused": request.paused,
            "note": "",
            "next_at": _first_look(source, at),
            "claim": 0,
            "claimed_until": None,
            "polled_at": None,
            "failures": 0,
            "problem": "",
            "gap": False,
            "missed": 0,
            "seq": 0,
            "waiting": 0,
            "start_at": at,
            "start_failures": 0,
            "last_event_at": None,
            "last_run_id": None,
            "created_at": at,
        }
        await self._admit(caller, request.service_id)
        await self._db.write(self._add, row)
        self._on_change()
        return to_trigger(row)

    def _add(self, connection: Connection, row: TriggerRow) -> None:
        _require_workflow(connection, row["owner"], row["service_id"])
        _require_watched(connection, row["owner"], row["watches"], row["service_id"])
        # In the transaction that adds the row, so that requests at the same time cannot pass the limit together.
        if rows.count(connection, row["owner"]) >= self._limit:
            raise TooBusy(
                f"The limit of {self._limit} triggers is reached.",
                retry_after=60,
                hint="Remove one, or raise CODEWORDS_TRIGGER_LIMIT.",
            )
        rows.add(connection, row)

    async def list(
        self,
        owner: str,
        service_id: str | None = None,
        *,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Trigger]:
        """List triggers, newest first."""
        found = await self._db.read(rows.of_owner, owner, service_id, limit=limit, offset=offset)
        return [to_trigger(row) for row in found]

    async def get(self, owner: str, trigger_id: str) -> Trigger:
        """Return a trigger. Raises NotFound."""
        return to_trigger(await self._get(owner, trigger_id))

    async def _get(self, owner: str, trigger_id: str) -> TriggerRow:
        row = await self._db.read(rows.get, trigger_id, owner)
        if row is None:
            raise _unknown_trigger()
        return row

    async def change(self, owner: str, trigger_id: str, changes: TriggerChanges) -> Trigger:
        """Change a trigger. Other options begin anew: what is there already starts nothing. Raises NotFound, InvalidInput."""
        row = await self._get(owner, trigger_id)
        source = find_source(row["kind"])
        values: TriggerChange = {}
        if changes.name is not None:
            values["name"] = changes.name[:200]
        if changes.path is not None:
            values["path"] = "/" + changes.path.lstrip("/")
        if changes.catch_up is not None:
            check_catch_up(changes.catch_up)
            values["catch_up"] = changes.catch_up
        if changes.interval_s is not None:
            values["interval_s"] = interval_of(source, changes.interval_s)
            if row["next_at"] is not None:
                # A source without a next look is not polled, or not set up yet, and stays so.
                values["next_at"] = now()
        if changes.options is not None:
            options = check_options(source, changes.options)
            values |= self._restart(source, options)

        def change(connection: Connection) -> TriggerRow | None:
            current = rows.lock(connection, trigger_id)
            if current is None:
                return None
            if "watches" in values:
                _require_watched(connection, owner, values["watches"], current["service_id"])
            # A look that goes on must not write the state of other options.
            rows.change(connection, trigger_id, {**values, "claim": current["claim"] + 1})
            return rows.get(connection, trigger_id, owner)

        return await self._changed(change)

    def _restart(self, source: EventSource[Any], options: BaseModel) -> TriggerChange:
        return {
            "options": stored_options(options),
            "watches": watched_workflow(options),
            "state": None,
            "failures": 0,
            "problem": "",
            "claimed_until": None,
            "gap": False,
            "next_at": _first_look(source, now()),
        }

    async def _changed(self, change: Callable[[Connection], TriggerRow | None]) -> Trigger:
        row = await self._db.write(change)
        if row is None:
            raise _unknown_trigger()
        self._on_change()
        return to_trigger(row)

    async def pause(self, owner: str, trigger_id: str) -> Trigger:
        """Pause a trigger: its source is not looked at, and events that wait start nothing. Raises NotFound."""
        await self._get(owner, trigger_id)

        def pause(connection: Connection) -> TriggerRow | None:
            current = rows.lock(connection, trigger_id)
            if current is not None and not current["paused"]:
                rows.change(connection, trigger_id, {"paused": True, "note": "", "claimed_until": None})
            return rows.get(connection, trigger_id, owner)

        return await self._changed(pause)

    async def resume(self, owner: str, trigger_id: str, *, skip_waiting: bool = False) -> Trigger:
        """Resume a trigger: what came since its last look starts runs, at most as many as it catches up with.

        `skip_waiting`: begin anew instead, also without the events that wait. Raises NotFound, Conflict.
        """
        row = await self._get(owner, trigger_id)
        source = find_source(row["kind"])

        def resume(connection: Connection) -> TriggerRow | None:
            current = rows.lock(connection, trigger_id)
            if current is None:
                return None
            _require_workflow(connection, owner, current["service_id"])
            _require_watched(connection, owner, current["watches"], current["service_id"])
            # One that is switched on again is looked at when that is done.
            is_deployed = source.deploys and not current["paused"]
            values: TriggerChange = {
                "paused": False,
                "note": "",
                "failures": 0,
                "problem": "",
                # A look from before the pause must not write its state over this.
                "claim": current["claim"] + 1,
                "claimed_until": None,
                "next_at": now() if is_deployed else _first_look(source, now()),
                "start_at": now(),
                "start_failures": 0,
            }
            if skip_waiting:
                values |= {"state": _new_state(source, current["state"]), "waiting": 0, "gap": False}
                trigger_events.skip_all(connection, trigger_id)
            if current["paused"] or skip_waiting:
                rows.change(connection, trigger_id, values)
            return rows.get(connection, trigger_id, owner)

        return await self._changed(resume)

    async def remove(self, owner: str, trigger_id: str) -> None:
        """Remove a trigger with its events; its runs stay. Raises NotFound."""
        if not await self._db.write(rows.remove, trigger_id, owner):
            raise _unknown_trigger()
        self._on_change()

    async def events(self, owner: str, trigger_id: str, limit: int) -> list[TriggerEvent]:
        """Return the newest events of a trigger, the last one first. Raises NotFound."""
        await self._get(owner, trigger_id)
        found = await self._db.read(trigger_events.newest, trigger_id, limit)
        return [
            TriggerEvent(
                key=event.key,
                status=event.status,
                at=optional_datetime(event.at),
                received_at=to_datetime(event.received_at),
                run_id=event.run_id,
            )
            for event in found
        ]

    async def sample(self, owner: str, kind: str, options: dict[str, Any]) -> TriggerSample:
        """Return the newest item of a source as an event. It starts nothing and is not remembered.

        Raises InvalidInput, and what the source raises.
        """
        source = find_source(kind)
        checked = check_options(source, options)
        if isinstance(checked, RunEndedOptions):
            # No workflow has the empty id: a sample starts nothing, so it may watch any workflow of
            # the owner.
            await self._db.read(_require_watched, owner, checked.workflow, "")
            data = await self._db.read(ended_runs.newest_end, owner, checked.workflow, checked.statuses)
            if data:
                return _to_sample(str(data["run_id"]), data)
            return TriggerSample(found=False)

        try:
            async with asyncio.timeout(SAMPLE_TIMEOUT):
                event = await source.sample(checked, self._tools(owner))
        except TimeoutError:
            raise UpstreamTimedOut(f"The source did not answer within {SAMPLE_TIMEOUT:.0f} s.") from None
        if event is None:
            return TriggerSample(found=False)
        return TriggerSample(found=True, key=event.key, data=event.data, at=event.at)


def _to_sample(key: str, data: JsonObject) -> TriggerSample:
    return TriggerSample(found=True, key=key, data=data)


def _first_look(source: EventSource[Any], at: int) -> int | None:
    """The time of the first look, in µs; None where something has to be set up before it, or there is none."""
    if source.polled and not source.deploys:
        return at
    return None


def _new_state(source: EventSource[Any], state: JsonValue) -> JsonValue:
    """The state of a trigger that begins anew."""
    if source.deploys and isinstance(state, dict) and "deployed" in state:
        return {"deployed": state["deployed"]}
    return None


def _require_workflow(connection: Connection, owner: str, service_id: str) -> None:
    workflow = workflows.get(connection, service_id)
    if workflow is None or not (workflow.owner == owner or workflow.public):
        raise no_workflow(connection, owner, service_id)


def _require_watched(connection: Connection, owner: str, watched: str | None, service_id: str) -> None:
    if watched is None:
        return
    workflow = workflows.get(connection, watched)
    if workflow is None or workflow.owner != owner:
        raise NotFound(
            "None of your workflows has the id of the option `workflow`.",
            remedy=Remedy(RemedyAction.LIST_WORKFLOWS),
        )
    # A loop of several workflows is found by its depth when a run of it ends.
    if watched == service_id:
        raise InvalidInput("A workflow that starts whenever it has ended would never stop.")


def _unknown_trigger() -> NotFound:
    return NotFound("No trigger has this id.", remedy=Remedy(RemedyAction.LIST_TRIGGERS))


def to_trigger(row: TriggerRow) -> Trigger:
    """A row as the model."""
    failing = "failing" if row["failures"] else "active"
    return Trigger(
        id=row["id"],
        kind=row["kind"],
        service_id=row["service_id"],
        name=row["name"],
        path=row["path"],
        state="paused" if row["paused"] else failing,
        note=row["note"],
        problem=row["problem"],
        options=row["options"],
        interval_s=row["interval_s"] if row["next_at"] is not None else None,
        catch_up=row["catch_up"],
        created_at=to_datetime(row["created_at"]),
        next_at=None if row["paused"] else optional_datetime(row["next_at"]),
        polled_at=optional_datetime(row["polled_at"]),
        last_at=optional_datetime(row["last_event_at"]),
        last_run_id=row["last_run_id"],
        waiting=row["waiting"],
        missed=row["missed"],
    )
