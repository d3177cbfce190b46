"""Items of an app's API that are listed by the time of their change: those since the last look, each version once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.errors import NotFound, UpstreamFailed
from codewords_mcp.runtime.triggers.sources.base import Polled, SourceEvent
from codewords_mcp.runtime.triggers.sources.seen_keys import SeenKeys

CLOCK_DIFFERENCE: Final = timedelta(seconds=30)
MAX_REQUESTS = 20
"""Pages that one look asks for, until one has something new."""


@dataclass(frozen=True, slots=True)
class AppItem:
    """An item in one version. `key` tells versions apart, `at` is their time by the app's clock."""

    key: str
    at: datetime
    data: JsonObject


@dataclass(frozen=True, slots=True)
class AppPage:
    """Items by their time, the oldest first. `cursor` leads to the next page, `now` is the app's own time."""

    items: Sequence[AppItem]
    cursor: str | None
    now: datetime


FetchPage = Callable[[datetime, str | None], Awaitable[AppPage]]
"""Given the time since which items are listed, and a cursor."""


async def poll_items(state: JsonValue | None, fetch: FetchPage, overlap: timedelta, now: datetime) -> Polled:
    """Return the events of items that are new since the state.

    `overlap`: how far back is listed again, for items that an app lists late; their keys tell which are known.
    """
    if not isinstance(state, dict):
        return Polled([], await _first_look(fetch, overlap, now))

    since = datetime.fromisoformat(str(state["since"]))
    seen = SeenKeys(state.get("seen"))
    # After a page that was not the last one, it goes on where that ended.
    exact = state.get("exact") is True
    new: list[AppItem] = []
    listed = await _pages(fetch, since if exact else since - overlap, seen, new)

    # Never back, since an app that lists an older time would list all after it again; and never ahead of the app's time,
    # which people can date items to.
    latest = min(max((item.at for item in listed.items), default=since), listed.now)
    if exact and listed.cursor is not None and not new:
        # More items of one time than are asked for.
        latest += timedelta(seconds=1)
    after: JsonObject = {
        "since": max(since, latest).isoformat(),
        "seen": seen.with_shown([item.key for item in reversed(listed.items)]),
        "exact": listed.cursor is not None,
    }
    events = [SourceEvent(item.key, item.data, item.at) for item in new]
    return Polled(events, after, more=listed.cursor is not None)


async def _pages(fetch: FetchPage, since: datetime, seen: SeenKeys | None, new: list[AppItem]) -> AppPage:
    """Read pages until one has something that was not `seen`, which goes to `new`; all of them without `seen`."""
    items: list[AppItem] = []
    cursor: str | None = None
    count = 0
    while True:
        page = await fetch(since, cursor)
        items += page.items
        cursor, count = page.cursor, count + 1
        if seen is not None:
            new += {item.key: item for item in page.items if item.key not in seen}.values()
        if cursor is None or new or count == MAX_REQUESTS:
            return AppPage(items, cursor, page.now)


async def _first_look(fetch: FetchPage, overlap: timedelta, now: datetime) -> JsonObject:
    """Return the state after all items that there are."""
    known = await _pages(fetch, now - overlap, None, [])
    # The overlap is one of the app's time, and the clock here may be another.
    if abs(known.now - now) > CLOCK_DIFFERENCE:
        known = await _pages(fetch, known.now - overlap, None, [])
    seen = SeenKeys("").with_shown([item.key for item in reversed(known.items)])
    return {"since": known.now.isoformat(), "seen": seen, "exact": False}


def server_time(headers: Mapping[str, str], now: datetime) -> datetime:
    """Return the app's own time, by which its items are dated; `now` where it does not say it."""
    try:
        found = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, IndexError):
        return now
    if found.tzinfo:
        return found.astimezone(UTC)
    return found.replace(tzinfo=UTC)


def objects_of(value: JsonValue, field: str) -> list[JsonObject]:
    """Return the objects in a list of a response. Raises UpstreamFailed."""
    if isinstance(value, dict):
        found = cast("JsonObject", value).get(field)
    else:
        found = None
    if not isinstance(found, list):
        raise unexpected()
    return [element for element in found if isinstance(element, dict)]


def time_of(value: Any) -> datetime:
    """Return a time of an app in UTC. Raises UpstreamFailed."""
    try:
        found = datetime.fromisoformat(str(value))
        if found.tzinfo:
            return found.astimezone(UTC)
        return found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise unexpected() from None


def unexpected() -> UpstreamFailed:
    """Return the fault of an app that answers in another form than it documents."""
    return UpstreamFailed("The app responded in an unexpected format.", hint="Try again later.")


@asynccontextmanager
async def naming(what: str) -> AsyncGenerator[None]:
    """Say what an app does not have, or does not let this account read."""
    try:
        yield
    except UpstreamFailed as error:
        # Some apps say 400 or 422 of an id that leads nowhere.
        if error.upstream_status not in {400, 403, 404, 422}:
            raise
        raise NotFound(
            f"There is no such {what}, or the connected account may not read it.",
            hint="Check the options, and what the account may read.",
        ) from error
