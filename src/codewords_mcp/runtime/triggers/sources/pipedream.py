"""Event source: an event of a connected app, by a trigger that Pipedream runs."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from pydantic import Field
from typing_extensions import override

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.integration import AppEventChoice, EmittedEvent
from codewords_mcp.runtime.triggers.sources.base import DeployedSource, Polled, SourceEvent, SourceTools
from codewords_mcp.runtime.triggers.sources.seen_keys import SeenKeys


class PipedreamOptions(Model):
    """Options of the source `pipedream`."""

    app: str = Field(min_length=1, max_length=100, description="The app's name, as in search_integrations.")
    event: str = Field(
        default="",
        max_length=200,
        description="Key of its event, or words: a fault lists the events of the app.",
    )
    props: dict[str, Any] = Field(
        default={}, description="Fields of the event; a fault names those that are missing."
    )
    account: str | None = Field(
        default=None, max_length=100, description="Id of the connected account; else the newest that works."
    )


class PipedreamSource(DeployedSource[PipedreamOptions]):
    """Pipedream lists the hundred latest events of a deployed trigger. Its webhook only says that there are some.

    State: `deployed`, the trigger's id there, and `seen`, the ids of its events.
    """

    kind = "pipedream"
    title = "Event of a connected app, by Pipedream"
    interval_s = 60.0
    Options = PipedreamOptions

    @override
    async def poll(self, options: PipedreamOptions, state: JsonValue | None, tools: SourceTools) -> Polled:
        known = object_of(state)
        listed = await tools.app_events.emitted(tools.owner, str(known["deployed"]))
        seen = SeenKeys(known.get("seen"))
        after: JsonValue = {
            **known,
            # The newest first: where there are too many, the first ones are kept.
            "seen": seen.with_shown(event.id for event in reversed(listed)),
        }
        # A trigger that begins anew has events already, which start nothing.
        if known.get("seen") is None:
            return Polled((), after)
        return Polled([_event(event) for event in listed if event.id not in seen], after)

    @override
    async def sample(self, options: PipedreamOptions, tools: SourceTools) -> SourceEvent | None:
        prepared = await self.prepare(options, tools)
        found = await tools.app_events.find_deployed(tools.owner, prepared, None, ())
        if found is not None:
            listed = await tools.app_events.emitted(tools.owner, found)
        else:
            listed = []
        return _event(listed[-1]) if listed else None

    @override
    async def prepare(self, options: PipedreamOptions, tools: SourceTools) -> JsonObject:
        choice = AppEventChoice(
            app=options.app, event=options.event, props=options.props, account=options.account
        )
        return await tools.app_events.prepare(tools.owner, choice)

    @override
    async def deploy(self, prepared: JsonObject, tools: SourceTools) -> str:
        return await tools.app_events.deploy(tools.owner, prepared)

    @override
    async def find(
        self, prepared: JsonObject, since: datetime, known: Collection[str], tools: SourceTools
    ) -> str | None:
        return await tools.app_events.find_deployed(tools.owner, prepared, since, known)

    @override
    async def set_active(self, deployed: str, tools: SourceTools, *, active: bool) -> None:
        await tools.app_events.set_active(tools.owner, deployed, active=active)

    @override
    async def set_address(self, deployed: str, address: str | None, tools: SourceTools) -> None:
        await tools.app_events.set_address(tools.owner, deployed, address)

    @override
    async def remove(self, deployed: str, tools: SourceTools, *, forced: bool) -> None:
        await tools.app_events.remove(tools.owner, deployed, forced=forced)


def _event(event: EmittedEvent) -> SourceEvent:
    data: JsonObject = {"id": event.id, "summary": event.summary, "event": event.data}
    return SourceEvent(event.id, data, datetime.fromtimestamp(event.at_ms / 1000, UTC))
