"""Event source: new records of an Airtable table."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast
from urllib.parse import quote

from pydantic import Field
from typing_extensions import override

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.errors import UpstreamFailed
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

OVERLAP = timedelta(minutes=2)
MAX_PAGES = 50
"""Pages of 100 records that one look reads: Airtable does not sort by the time of creation, so it needs all that are new."""


class AirtableOptions(Model):
    """Options of the source `airtable`."""

    base_id: str = Field(
        pattern=r"^app[A-Za-z0-9]{1,40}$", description="The base's id, which begins with app."
    )
    table: str = Field(min_length=1, max_length=255, description="The table's name or id.")
    view: str | None = Field(default=None, max_length=255, description="Only records of this view.")


class AirtableSource(EventSource[AirtableOptions]):
    """See `poll_items`."""

    kind = "airtable"
    title = "New records of an Airtable table"
    interval_s = 60.0
    min_interval_s = 30.0
    Options = AirtableOptions

    @override
    async def poll(self, options: AirtableOptions, state: JsonValue | None, tools: SourceTools) -> Polled:
        return await poll_items(state, _Records(options, tools), OVERLAP, tools.now())

    @override
    async def sample(self, options: AirtableOptions, tools: SourceTools) -> SourceEvent | None:
        records = _Records(options, tools)
        found, _ = await records.ask({"pageSize": "1"})
        return next((SourceEvent(item.key, item.data, item.at) for item in found), None)


class _Records:
    """Asks for the records since a time."""

    def __init__(self, options: AirtableOptions, tools: SourceTools) -> None:
        self._options = options
        self._tools = tools
        self._now = tools.now()

    async def __call__(self, since: datetime, _cursor: str | None) -> AppPage:
        # `IS_AFTER` would leave out a record of this very moment.
        formula = f'NOT(IS_BEFORE(CREATED_TIME(), DATETIME_PARSE("{since:%Y-%m-%dT%H:%M:%S}Z")))'
        params = {"filterByFormula": formula, "pageSize": "100"}
        found: list[AppItem] = []
        for _ in range(MAX_PAGES):
            items, offset = await self.ask(params)
            found += items
            if offset is None or not items:
                return AppPage(sorted(found, key=_order), None, self._now)
            params["offset"] = offset
        raise UpstreamFailed(
            f"The table has more than {MAX_PAGES * 100} new records.", hint="Name a `view` that has fewer."
        )

    async def ask(self, params: dict[str, str]) -> tuple[list[AppItem], str | None]:
        """Return (records, offset of the next page). Raises AppNotConnected, NotFound, TooBusy, UpstreamFailed."""
        api = await self._tools.native("airtable")
        if self._options.view is None:
            view = {}
        else:
            view = {"view": self._options.view}
        path = f"/v0/{self._options.base_id}/{quote(self._options.table, safe='')}"
        async with naming("table"):
            answer = await api.exchange("GET", path, params=params | view)
        self._now = server_time(answer.headers, self._tools.now())
        items = [_item(record) for record in objects_of(answer.body, "records") if record.get("id")]
        offset = cast("JsonObject", answer.body).get("offset")
        return items, str(offset) if offset else None


def _item(record: JsonObject) -> AppItem:
    at = time_of(record.get("createdTime"))
    data: JsonObject = {
        "id": record["id"],
        "created_at": record.get("createdTime"),
        "fields": record.get("fields"),
    }
    return AppItem(str(record["id"]), at, data)


def _order(item: AppItem) -> tuple[datetime, str]:
    return item.at, item.key
