"""Event source: new or changed pages of a Notion database, whose pages are in its data sources."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Literal, cast

from pydantic import Field, field_validator
from typing_extensions import override

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.errors import InvalidInput, UpstreamFailed
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

MINUTE = timedelta(minutes=1)
"""Precision of Notion's times. A page is told once the minute of its change is over: later changes would look the same."""


class NotionOptions(Model):
    """Options of the source `notion`."""

    database_id: str = Field(description="The database's id, or its address.", max_length=500)
    data_source: str = Field(
        default="", description="The name or id of its data source, where it has several.", max_length=500
    )
    what: Literal["created", "changed"] = Field(
        default="changed", description="Tell new pages only, or every change."
    )

    @field_validator("database_id")
    @classmethod
    def _find_id(cls, text: str) -> str:
        # The last one before the query of an address, which names a view.
        found = re.findall(r"[0-9a-f]{32}", text.partition("?")[0].replace("-", "").lower())
        if not found:
            raise ValueError("it has no id of 32 digits")
        return str(found[-1])


class NotionSource(EventSource[NotionOptions]):
    """See `poll_items`."""

    kind = "notion"
    title = "Pages of a Notion database"
    interval_s = 60.0
    min_interval_s = 30.0
    Options = NotionOptions

    @override
    async def poll(self, options: NotionOptions, state: JsonValue | None, tools: SourceTools) -> Polled:
        return await poll_items(state, _Query(options, tools), MINUTE, tools.now())

    @override
    async def sample(self, options: NotionOptions, tools: SourceTools) -> SourceEvent | None:
        query = _Query(options, tools)
        page = await query.ask({"sorts": [query.order("descending")], "page_size": 1})
        return next((SourceEvent(item.key, item.data, item.at) for item in page.items), None)


class _Query:
    """Asks for the pages since a time whose minute is over."""

    def __init__(self, options: NotionOptions, tools: SourceTools) -> None:
        self._options = options
        self._tools = tools
        self._source_id = ""
        if options.what == "created":
            self._field = "created_time"
        else:
            self._field = "last_edited_time"

    def order(self, direction: str) -> JsonObject:
        return {"timestamp": self._field, "direction": direction}

    async def __call__(self, since: datetime, cursor: str | None) -> AppPage:
        body: JsonObject = {
            "filter": {"timestamp": self._field, self._field: {"on_or_after": since.isoformat()}},
            "sorts": [self.order("ascending")],
            "page_size": 100,
        }
        if cursor is not None:
            body["start_cursor"] = cursor
        page = await self.ask(body)
        settled = [item for item in page.items if item.at <= page.now - MINUTE]
        # All that follows is newer.
        return AppPage(settled, page.cursor if len(settled) == len(page.items) else None, page.now)

    async def ask(self, body: JsonObject) -> AppPage:
        """Return the pages of a query. Raises AppNotConnected, InvalidInput, NotFound, TooBusy, UpstreamFailed."""
        api = await self._tools.native("notion")
        async with naming("database"):
            if not self._source_id:
                found = await api.exchange("GET", f"/v1/databases/{self._options.database_id}")
                self._source_id = _source_of(cast("JsonObject", found.body), self._options.data_source)
            answer = await api.exchange("POST", f"/v1/data_sources/{self._source_id}/query", body=body)
        found = cast("JsonObject", answer.body)
        items = [self._item(page) for page in objects_of(found, "results") if page.get("id")]
        cursor = found.get("next_cursor")
        return AppPage(items, str(cursor) if cursor else None, server_time(answer.headers, self._tools.now()))

    def _item(self, page: JsonObject) -> AppItem:
        at = time_of(page.get(self._field))
        data: JsonObject = {
            "id": page["id"],
            "url": page.get("url"),
            "title": _title(page.get("properties")),
            "created_time": page.get("created_time"),
            "last_edited_time": page.get("last_edited_time"),
            "archived": page.get("in_trash", page.get("archived", False)),
            "properties": page.get("properties"),
        }
        return AppItem(f"{page['id']}:{at.isoformat()}", at, data)


def _source_of(database: JsonObject, choice: str) -> str:
    """Return the id of the data source that is meant, as it is written in a path. Raises InvalidInput."""
    sources = [(str(one.get("id")), str(one.get("name"))) for one in objects_of(database, "data_sources")]
    matches = [
        source_id
        for source_id, name in sources
        if not choice or choice == name or choice.replace("-", "").lower() == source_id.replace("-", "")
    ]
    if len(matches) != 1:
        raise InvalidInput(
            f"The database has {len(sources)} data sources, and {len(matches)} of them are meant.",
            hint="Set the option `data_source` to the name or id of one; Notion shows them at the database's title.",
        )
    found = re.fullmatch(r"[0-9a-f-]{32,36}", matches[0])
    if found is None:
        raise UpstreamFailed("Notion named a data source by no id.")
    return found[0]


def _title(properties: JsonValue) -> str:
    """Return the text of the property that is a database's title."""
    for found in properties.values() if isinstance(properties, dict) else ():
        if isinstance(found, dict) and found.get("type") == "title" and isinstance(found.get("title"), list):
            pieces = [piece for piece in cast("list[JsonValue]", found["title"]) if isinstance(piece, dict)]
            return "".join(str(piece.get("plain_text", "")) for piece in pieces)
    return ""
