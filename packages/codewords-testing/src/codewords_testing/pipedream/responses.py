"""Answers of the stand-in in Connect's own shapes: pages, times and refusals."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from codewords_testing.providers.model import StubReply

Json = dict[str, Any]


class ConnectRefusal(Exception):
    """An answer of 400 and above."""

    def __init__(self, status: int, error: Any) -> None:
        super().__init__(status)
        self.reply = json_reply({"error": error}, status)


def json_reply(value: Any, status: int = 200) -> StubReply:
    """An answer of JSON."""
    return StubReply(status, json.dumps(value).encode())


def paged(items: list[Json], key: str, params: dict[str, str]) -> Json:
    """A page of items, whose cursor is the last one's `key`."""
    limit, start = int(params.get("limit", "10")), 0
    if after := params.get("after"):
        name = base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)).decode()
        start = next((at + 1 for at, item in enumerate(items) if item[key] == name), len(items))

    page = items[start : start + limit]
    info = {
        "total_count": len(items),
        "count": len(page),
        "start_cursor": _cursor(page[0][key]) if page else None,
        "end_cursor": _cursor(page[-1][key]) if page else None,
    }
    return {"page_info": info, "data": page}


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def iso(at: float) -> str:
    """A time as Connect writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def app_of(action: Json) -> str:
    """The app whose account an action or event needs."""
    return next(str(prop["app"]) for prop in action["configurable_props"] if prop["type"] == "app")
