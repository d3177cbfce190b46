"""Event source: an RSS or Atom feed."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.triggers.sources.base import EventSource, Polled, SourceEvent, SourceTools
from codewords_mcp.runtime.triggers.sources.feed_document import FeedItem, read_feed
from codewords_mcp.runtime.triggers.sources.polled_page import fetch_page
from codewords_mcp.runtime.triggers.sources.seen_keys import SeenKeys

_ACCEPT = "application/atom+xml, application/rss+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5"


class FeedOptions(BaseModel):
    """Options of the source `feed`."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2000, description="Address of the feed.")
    secret: str | None = Field(
        default=None,
        max_length=64,
        description="Name of the secret to send as a bearer token, if it needs one.",
    )


class FeedSource(EventSource[FeedOptions]):
    """One event for each new item. An item is known by its id, else by its link, else by its content."""

    kind = "feed"
    title = "RSS or Atom feed"
    interval_s = 1800.0
    min_interval_s = 60.0
    Options = FeedOptions

    @override
    async def poll(self, options: FeedOptions, state: JsonValue | None, tools: SourceTools) -> Polled:
        known = object_of(state)
        page = await fetch_page(options.url, options.secret, known.get("validators"), tools, accept=_ACCEPT)
        if page.response is None:
            return Polled((), state)

        content_type = page.response.headers.get("content-type", "")
        items = await asyncio.to_thread(read_feed, page.response.body, content_type)
        seen = SeenKeys(known.get("seen"))
        # A feed that once had one id for several items may do so again.
        mixed = bool(known.get("mixed")) or _has_shared_ids(items)
        new = [item for item in items if _key(item, mixed=mixed) not in seen]
        # By both keys: where a later look finds the ids mixed, known items must not count as new.
        shown = [_key(item, mixed=kind) for item in items for kind in (False, True)]
        after: JsonValue = {
            "seen": seen.with_shown(shown),
            "mixed": mixed,
            "validators": page.validators,
        }
        if state is None:
            return Polled((), after)
        return Polled([_event(item, mixed=mixed) for item in _in_order(new)], after)

    @override
    async def sample(self, options: FeedOptions, tools: SourceTools) -> SourceEvent | None:
        page = await fetch_page(options.url, options.secret, None, tools, accept=_ACCEPT)
        if page.response is None:
            return None
        content_type = page.response.headers.get("content-type", "")
        items = await asyncio.to_thread(read_feed, page.response.body, content_type)
        if not items:
            return None
        return _event(_in_order(items)[-1], mixed=_has_shared_ids(items))


def _key(item: FeedItem, *, mixed: bool) -> str:
    return item.full_key if mixed else item.key


def _has_shared_ids(items: list[FeedItem]) -> bool:
    """Whether items that differ have one id: then ids alone do not tell items apart."""
    by_key: dict[str, str] = {}
    return any(by_key.setdefault(item.key, item.full_key) != item.full_key for item in items)


def _in_order(items: list[FeedItem]) -> list[FeedItem]:
    """Oldest first: by their times where all have one, else the last in the document first."""
    reverse = items[::-1]
    timed = [(item.at, item) for item in reverse if item.at is not None]
    if len(timed) < len(items):
        return reverse
    return [item for _, item in sorted(timed, key=lambda pair: pair[0])]


def _event(item: FeedItem, *, mixed: bool) -> SourceEvent:
    return SourceEvent(_key(item, mixed=mixed), item.data, item.at)
