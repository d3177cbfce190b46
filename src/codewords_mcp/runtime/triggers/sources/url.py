"""Event source: a web address whose answer changes, or a list in its JSON that gets new items."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from codewords_mcp.common.bounded_json import JsonValue, parse
from codewords_mcp.common.json_parts import object_of
from codewords_mcp.errors import UpstreamFailed
from codewords_mcp.runtime.triggers.sources.base import EventSource, Polled, SourceEvent, SourceTools
from codewords_mcp.runtime.triggers.sources.json_path import NoSuchPath, find_path
from codewords_mcp.runtime.triggers.sources.polled_page import fetch_page
from codewords_mcp.runtime.triggers.sources.seen_keys import SeenKeys

MAX_ITEMS = 2000
"""Items of a list that are looked at: its newest ones."""
MAX_VALUE = 256 << 10
"""Characters of a value as JSON that an event repeats."""
MAX_PREVIOUS = 16 << 10
"""Characters of a value as JSON that the state keeps, to tell the one before."""


class UrlOptions(BaseModel):
    """Options of the source `url`."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2000, description="Address to look at.")
    path: str = Field(
        default="",
        max_length=500,
        description='Path to a value in its JSON, as "data.items" or "$.price[0]"; empty: the whole answer.',
    )
    mode: Literal["change", "items"] = Field(
        default="change", description="An event when the value changes, or for each new item of a list."
    )
    id: str = Field(
        default="",
        max_length=200,
        description="With mode items: path to an item's id; empty: all of the item.",
    )
    newest_first: bool = Field(default=True, description="With mode items: the list begins with the newest.")
    secret: str | None = Field(
        default=None,
        max_length=64,
        description="Name of the secret to send as a bearer token, if it needs one.",
    )


class UrlSource(EventSource[UrlOptions]):
    """See the module."""

    kind = "url"
    title = "Web address or JSON that changes"
    interval_s = 1800.0
    min_interval_s = 30.0
    Options = UrlOptions

    @override
    async def poll(self, options: UrlOptions, state: JsonValue | None, tools: SourceTools) -> Polled:
        known = object_of(state)
        page = await fetch_page(
            options.url, options.secret, known.get("validators"), tools, accept="application/json, */*;q=0.5"
        )
        if page.response is None:
            return Polled((), state)

        value = _value(page.response.body, options.path)
        if options.mode == "items":
            polled = _new_items(options, value, known, first=state is None)
        else:
            polled = _changed(options, value, known, first=state is None)
        after = {**object_of(polled.state), "validators": page.validators}
        return Polled(polled.events, cast("JsonValue", after))

    @override
    async def sample(self, options: UrlOptions, tools: SourceTools) -> SourceEvent | None:
        page = await fetch_page(
            options.url, options.secret, None, tools, accept="application/json, */*;q=0.5"
        )
        if page.response is None:
            return None
        value = _value(page.response.body, options.path)
        if options.mode == "items":
            items = _items(options, value)
            if not items:
                return None
            return _item_event(options, items[-1])
        return SourceEvent("sample", _change_data(options, value, None))


def _value(body: bytes, path: str) -> JsonValue:
    """The value at a path of an answer; its text where it is no JSON. Raises UpstreamFailed."""
    try:
        value = parse(body)
    except (ValueError, RecursionError):
        if path:
            raise UpstreamFailed(
                "The answer is no JSON, so it has no path.", hint="Leave `path` empty for text."
            ) from None
        return body.decode(errors="replace")

    try:
        return find_path(value, path)
    except NoSuchPath as missing:
        raise UpstreamFailed(
            f"The answer has nothing at `path`: {missing}.", hint="Correct the path."
        ) from None


def _changed(options: UrlOptions, value: JsonValue, known: Mapping[str, JsonValue], *, first: bool) -> Polled:
    text = json.dumps(value, sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    count = known.get("count")
    number = count if isinstance(count, int) else 0
    changed = not first and known.get("hash") != fingerprint
    after: dict[str, JsonValue] = {
        "hash": fingerprint,
        # A value may come back, which is an event of its own.
        "count": number + changed,
        "value": value if len(text) <= MAX_PREVIOUS else None,
    }
    if not changed:
        return Polled((), after)
    data = _change_data(options, value, known.get("value"))
    return Polled([SourceEvent(f"{number + 1}:{fingerprint}", data)], after)


def _change_data(options: UrlOptions, value: JsonValue, previous: JsonValue) -> JsonValue:
    fits = len(json.dumps(value)) <= MAX_VALUE
    return {
        "url": options.url,
        "value": value if fits else None,
        "previous": previous,
        "truncated": not fits,
    }


def _new_items(
    options: UrlOptions, value: JsonValue, known: Mapping[str, JsonValue], *, first: bool
) -> Polled:
    seen = SeenKeys(known.get("seen"))
    events = [_item_event(options, item) for item in _items(options, value)]
    new = [event for event in events if event.key not in seen]
    # The newest first: where there are too many, the first ones are kept.
    after: dict[str, JsonValue] = {"seen": seen.with_shown(event.key for event in reversed(events))}
    return Polled(() if first else new, after)


def _items(options: UrlOptions, value: Any) -> list[JsonValue]:
    """The newest items of a list, oldest first."""
    if not isinstance(value, list):
        raise UpstreamFailed(
            "The value at `path` is no list.", hint="Correct the path, or use the mode `change`."
        )
    found = cast("list[JsonValue]", value)
    if options.newest_first:
        return found[:MAX_ITEMS][::-1]
    return found[-MAX_ITEMS:]


def _item_event(options: UrlOptions, item: JsonValue) -> SourceEvent:
    identity: JsonValue = item
    if options.id:
        try:
            identity = find_path(item, options.id)
        except NoSuchPath:
            identity = item
    if isinstance(identity, str) and identity:
        key = identity
    else:
        # Sorted: an object whose fields come in another order is the same one.
        key = json.dumps(identity, sort_keys=True)
    return SourceEvent(key, item)
