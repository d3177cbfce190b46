"""Event source: new or changed contacts, companies, deals and tickets of HubSpot."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, cast

from pydantic import Field
from typing_extensions import override

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.triggers.sources.app_items import (
    AppItem,
    AppPage,
    naming,
    objects_of,
    poll_items,
    server_time,
    time_of,
)
from codewords_mcp.runtime.triggers.sources.base import EventSource, Polled, SourceEvent, SourceTools

OVERLAP = timedelta(minutes=5)
"""HubSpot's search finds what has changed some seconds to minutes later."""
_NAMES = {
    "contacts": ("email", "firstname", "lastname", "company", "phone", "lifecyclestage"),
    "companies": ("name", "domain", "phone", "industry"),
    "deals": ("dealname", "amount", "dealstage", "pipeline", "closedate"),
    "tickets": ("subject", "content", "hs_pipeline_stage", "hs_ticket_priority"),
}


class HubSpotOptions(Model):
    """Options of the source `hubspot`."""

    what: Literal["contacts", "companies", "deals", "tickets"] = Field(description="The kind of records.")
    when: Literal["created", "changed"] = Field(
        default="created", description="Tell new ones only, or every change."
    )
    properties: list[str] = Field(
        default=[], max_length=50, description="Further properties that an event has."
    )


class HubSpotSource(EventSource[HubSpotOptions]):
    """See `poll_items`."""

    kind = "hubspot"
    title = "Contacts, companies, deals and tickets of HubSpot"
    interval_s = 60.0
    min_interval_s = 30.0
    Options = HubSpotOptions

    @override
    async def poll(self, options: HubSpotOptions, state: JsonValue | None, tools: SourceTools) -> Polled:
        return await poll_items(state, _Search(options, tools), OVERLAP, tools.now())

    @override
    async def sample(self, options: HubSpotOptions, tools: SourceTools) -> SourceEvent | None:
        search = _Search(options, tools)
        page = await search.ask({"sorts": [search.order("DESCENDING")], "limit": 1})
        return next((SourceEvent(item.key, item.data, item.at) for item in page.items), None)


class _Search:
    """Asks for the records since a time."""

    def __init__(self, options: HubSpotOptions, tools: SourceTools) -> None:
        self._options = options
        self._tools = tools
        if options.when == "created":
            self._field = "createdate"
        # Contacts alone have an older name for it.
        elif options.what == "contacts":
            self._field = "lastmodifieddate"
        else:
            self._field = "hs_lastmodifieddate"

    def order(self, direction: str) -> JsonObject:
        return {"propertyName": self._field, "direction": direction}

    async def __call__(self, since: datetime, cursor: str | None) -> AppPage:
        since_ms = str(int(since.timestamp() * 1000))
        condition: JsonValue = {"propertyName": self._field, "operator": "GTE", "value": since_ms}
        body: JsonObject = {
            "filterGroups": [{"filters": [condition]}],
            "sorts": [self.order("ASCENDING")],
            "limit": 100,
        }
        if cursor is not None:
            body["after"] = cursor
        return await self.ask(body)

    async def ask(self, body: JsonObject) -> AppPage:
        """Return the records of a search. Raises AppNotConnected, NotFound, TooBusy, UpstreamFailed."""
        api = await self._tools.native("hubspot")
        names = [*_NAMES[self._options.what], self._field, *self._options.properties]
        path = f"/crm/v3/objects/{self._options.what}/search"
        async with naming("kind of records"):
            answer = await api.exchange("POST", path, body=body | {"properties": list(dict.fromkeys(names))})
        items = [self._item(found) for found in objects_of(answer.body, "results") if found.get("id")]
        now = server_time(answer.headers, self._tools.now())
        return AppPage(items, _cursor(cast("JsonObject", answer.body)), now)

    def _item(self, found: JsonObject) -> AppItem:
        values = object_of(found.get("properties"))
        at = time_of(values.get(self._field))
        data: JsonObject = {
            "id": found["id"],
            "kind": self._options.what,
            "created_at": found.get("createdAt"),
            "updated_at": found.get("updatedAt"),
            "properties": values,
        }
        # The time is in the key, so that each later change of a record is an event of its own.
        return AppItem(f"{found['id']}:{at.isoformat()}", at, data)


def _cursor(body: JsonObject) -> str | None:
    after = object_of(object_of(body.get("paging")).get("next")).get("after")
    return str(after) if after else None
