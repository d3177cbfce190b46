"""Event source: new rows of a Google sheet."""

from __future__ import annotations

import hashlib
import json
import re
from typing import cast
from urllib.parse import quote

from pydantic import Field, field_validator
from typing_extensions import override

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.common.json_parts import list_of
from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.triggers.sources.app_items import naming, unexpected
from codewords_mcp.runtime.triggers.sources.base import EventSource, Polled, SourceEvent, SourceTools
from codewords_mcp.runtime.triggers.sources.seen_keys import MAX_SEEN, SeenKeys

MAX_ROWS = 1000
"""Rows that one look tells."""
REMEMBERED = 20
"""Last rows that are remembered, to find the end again where rows above it were deleted."""
Row = list[JsonValue]


class SheetsOptions(Model):
    """Options of the source `sheets`."""

    spreadsheet_id: str = Field(max_length=500, description="The spreadsheet's id, or its address.")
    range: str = Field(
        default="A:Z",
        min_length=1,
        max_length=300,
        description="A range as Orders!A:F, or the name of a sheet. Without a sheet it is the first one.",
    )
    header: bool = Field(default=True, description="The first row has the names of the columns.")
    key_column: str | None = Field(
        default=None,
        max_length=300,
        description="A column whose value tells rows apart: then rows are found wherever they are put. Default: rows at the end.",
    )

    @field_validator("spreadsheet_id")
    @classmethod
    def _find_id(cls, text: str) -> str:
        found = re.search(r"/spreadsheets/d/([\w-]+)", text)
        spreadsheet_id = found[1] if found else text
        if not re.fullmatch(r"[\w-]{3,200}", spreadsheet_id, re.ASCII):
            raise ValueError("it is the long text in the sheet's address")
        return spreadsheet_id


class SheetsSource(EventSource[SheetsOptions]):
    """Rows at the end are found by their position, and by the rows before them where some were deleted."""

    kind = "sheets"
    title = "New rows of a Google sheet"
    interval_s = 120.0
    min_interval_s = 30.0
    Options = SheetsOptions

    @override
    async def poll(self, options: SheetsOptions, state: JsonValue | None, tools: SourceTools) -> Polled:
        names, rows = await _read(options, tools)
        before = cast("JsonObject", state or {})
        if options.key_column is not None:
            return _by_key(options, names, rows, before, first=state is None)

        count = before.get("count")
        earlier = count if isinstance(count, int) else 0
        start = len(rows) if state is None else _end(rows, before)
        new = list(enumerate(rows))[start : start + MAX_ROWS]
        events = [
            # The number makes an equal row that comes later another event.
            SourceEvent(f"{earlier + number}:{_digest(row)}", _data(options, names, index, row))
            for number, (index, row) in enumerate(new)
            if any(row)
        ]
        end = start + len(new)
        after: JsonObject = {
            "rows": end,
            "last": [_digest(row) for row in rows[max(0, end - REMEMBERED) : end]],
            "count": earlier + len(new),
        }
        return Polled(events, after, more=end < len(rows))

    @override
    async def sample(self, options: SheetsOptions, tools: SourceTools) -> SourceEvent | None:
        names, rows = await _read(options, tools)
        if not rows:
            return None
        return SourceEvent("sample", _data(options, names, len(rows) - 1, rows[-1]))


async def _read(options: SheetsOptions, tools: SourceTools) -> tuple[list[str], list[Row]]:
    """Return (names of the columns, rows). Raises AppNotConnected, NotFound, TooBusy, UpstreamFailed."""
    api = await tools.native("google_sheets")
    path = f"/v4/spreadsheets/{options.spreadsheet_id}/values/{quote(options.range, safe='')}"
    async with naming("spreadsheet or range"):
        body = await api.request("GET", path)

    # Without any value there is no field.
    found = body.get("values", []) if isinstance(body, dict) else None
    if not isinstance(found, list) or not all(isinstance(row, list) for row in found):
        raise unexpected()
    rows = cast("list[Row]", found)
    if not options.header:
        return [], rows
    return [str(name) for name in rows[0]] if rows else [], rows[1:]


def _end(rows: list[Row], state: JsonObject) -> int:
    """Return the index of the first row that is new."""
    count, last = state.get("rows"), state.get("last")
    end = count if isinstance(count, int) else len(rows)
    last_rows = list_of(last)
    # Usually nothing above the end has changed, and not all rows have to be looked at.
    if last_rows and 0 < end <= len(rows) and _digest(rows[end - 1]) == last_rows[-1]:
        return end

    digests = [_digest(row) for row in rows]
    for back, digest in enumerate(reversed(last_rows)):
        expected = end - 1 - back
        # The nearest place, since equal rows are common.
        places = [(abs(index - expected), index) for index, found in enumerate(digests) if found == digest]
        if places:
            _, nearest = min(places)
            # Rows after it that were there before have been edited since.
            return min(nearest + 1 + back, len(rows))
    return min(end, len(rows))


def _by_key(
    options: SheetsOptions, names: list[str], rows: list[Row], state: JsonObject, *, first: bool
) -> Polled:
    """Return the rows whose key is new. Of longer sheets the last rows are looked at."""
    if options.key_column not in names:
        raise InvalidInput(
            f"The sheet has no column with the name of `key_column`; it has {len(names)} columns.",
            hint="Give a name of the first row, and `header`: true.",
        )

    column = names.index(options.key_column)
    keyed = {
        str(row[column]): index
        for index, row in list(enumerate(rows))[-MAX_SEEN:]
        if len(row) > column and row[column] not in {None, ""}
    }
    seen = SeenKeys(state.get("seen"))
    if first:
        new = []
    else:
        new = [(key, index) for key, index in keyed.items() if key not in seen]
    new_keys = dict(new[:MAX_ROWS])
    after: JsonObject = {
        # The last rows first: where there are too many, the first ones are kept.
        "seen": seen.with_shown(key for key in reversed(keyed) if first or key in seen or key in new_keys)
    }
    events = [SourceEvent(key, _data(options, names, index, rows[index])) for key, index in new_keys.items()]
    return Polled(events, after, more=len(new_keys) < len(new))


def _data(options: SheetsOptions, names: list[str], index: int, row: Row) -> JsonObject:
    values: JsonObject = {name: (row[at] if at < len(row) else "") for at, name in enumerate(names) if name}
    cells: list[JsonValue] = list(row)
    return {
        "spreadsheet_id": options.spreadsheet_id,
        "range": options.range,
        # As in the sheet where the range begins with its first row.
        "row": index + (2 if options.header else 1),
        "values": values,
        "cells": cells,
    }


def _digest(row: Row) -> str:
    return hashlib.sha256(json.dumps(row).encode()).hexdigest()[:16]
