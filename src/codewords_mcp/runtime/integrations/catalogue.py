"""The catalogue of the home's project: read page by page, stored for a day, searched in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import structlog

from codewords_mcp.common.cancellation import end
from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.integrations.base import IntegrationBroker
from codewords_mcp.runtime.integrations.popular import popular
from codewords_mcp.runtime.integrations.search import ActionIndex
from codewords_mcp.runtime.model.integration import Action, App, Hit
from codewords_mcp.runtime.store import integrations as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

FRESH_S = 86400.0
"""Seconds for which a reading is fresh. An older one is still served while a new one is read."""
RETRY_INTERVAL_S = 300.0
"""Seconds after which a failed reading is retried."""
FIRST_READ_TIMEOUT_S = 20.0
"""Seconds that a search waits for the first reading; then it searches the pages read so far."""
MAX_PAGES = 1000
MAX_KEY_CHARS = 200
"""Maximum characters of a stored key."""
_CHECK_INTERVAL_S = 30.0
T = TypeVar("T")
log = structlog.get_logger(__name__)


def hit_of(action: Action) -> Hit:
    """Return an action's entry in lists."""
    return Hit(key=action.key, app=action.app, name=action.name, writes=action.writes, backend=action.backend)


def build_index(apps: Iterable[App], actions: Iterable[tuple[Hit, str]]) -> ActionIndex:
    """Build an index. Well-known apps get their common names and our own weights."""
    known = {app.slug: app for app in popular()}
    found = list(apps)
    featured = sorted((app.weight for app in found if app.weight), reverse=True)
    max_weight = float(len(known))

    def weighed(app: App) -> App:
        known_app = known.get(app.slug)
        # A broker's weights have no known scale. Only their order counts, below the weights of
        # well-known apps.
        if known_app is None and app.weight:
            rank = max_weight * 0.5 * (1 - featured.index(app.weight) / len(featured))
        else:
            rank = 0.0

        if known_app:
            words = f"{app.words} {known_app.words}"
        else:
            words = app.words

        return app.model_copy(update={"weight": known_app.weight if known_app else rank, "words": words})

    return ActionIndex.of(map(weighed, found), ((hit, text, "") for hit, text in actions))


class Catalogue:
    """The index of the project, and its actions by key. For one event loop; `close` it."""

    def __init__(
        self,
        broker: IntegrationBroker,
        database: Database,
        native_hits: Iterable[Hit] = (),
        *,
        fresh_s: float = FRESH_S,
        first_read_timeout_s: float = FIRST_READ_TIMEOUT_S,
    ) -> None:
        """`others` are searchable beside the project's actions."""
        self._broker = broker
        self._fresh_us = fresh_s * 1e6
        self._first_read_timeout_s = first_read_timeout_s
        self._native_hits = [(hit, "") for hit in native_hits]
        self._database = database
        self._index: tuple[str, int, ActionIndex] | None = None
        self._checked_at = 0.0
        self._read_task: asyncio.Task[None] | None = None
        self._failed: tuple[float, CodewordsError] | None = None
        self._partial: tuple[list[App], list[Action]] = ([], [])

    async def index(self) -> tuple[ActionIndex, str]:
        """Return (the index, "" or a note on why it may be incomplete). Raises the errors of the
        first reading.
        """
        project = await self._broker.project()
        assert project is not None  # noqa: S101  # callers check it
        read_at = await self._load(project)
        # An outdated list is better than none: it is served while a new one is read.
        stale = read_at is None or now() - read_at > self._fresh_us
        if stale:
            self._start_reading(project)
        if self._index is not None and self._index[0] == project:
            note = ""
            if stale and self._failed:
                note = f"This list is outdated: {self._failed[1].message}"
            return self._index[2], note

        return await self._first_result(project)

    async def action(self, key: str) -> Action:
        """Return an action as it was last read, or read it now. Raises NotFound and the errors of
        the broker.
        """
        project = await self._broker.project() or ""
        cached = await self._database.read(rows.get, project, "action", key)
        if cached is not None and now() - cached[1] < self._fresh_us:
            return Action.model_validate(cached[0])
        return await self.renew(key)

    async def renew(self, key: str) -> Action:
        """Read an action now and store it. Raises NotFound and the errors of the broker."""
        project = await self._broker.project() or ""
        action = await self._broker.schema(key)
        data = action.model_dump(mode="json")
        await self._database.write(rows.put, project, "action", key, data, now())
        return action

    async def wait_until_read(self) -> None:
        """Wait until the current reading ends."""
        if self._read_task is not None:
            await asyncio.wait([self._read_task])

    async def close(self) -> None:
        """Stop reading."""
        if self._read_task is not None:
            await end([self._read_task])

    async def _load(self, project: str) -> int | None:
        """Return the time of the last reading. A newer reading of another process is loaded."""
        cached = self._index
        # Another process may have read the catalogue meanwhile; the store is asked twice a minute
        # at most.
        if (
            cached is not None
            and cached[0] == project
            and time.monotonic() - self._checked_at < _CHECK_INTERVAL_S
        ):
            return cached[1]

        read_at = await self._database.read(rows.read_at, project)
        self._checked_at = time.monotonic()
        if read_at is not None and (cached is None or cached[:2] != (project, read_at)):
            apps = await self._database.read(rows.all_of, project, "app")
            actions = await self._database.read(rows.all_of, project, "action")
            self._index = (
                project,
                read_at,
                # In a thread: an index of thousands of actions takes a noticeable time to build.
                await asyncio.to_thread(_index_of_rows, apps, actions, self._native_hits),
            )

        return read_at

    async def _first_result(self, project: str) -> tuple[ActionIndex, str]:
        # A search at once after the first start should still find something.
        if self._read_task is not None:
            await asyncio.wait([self._read_task], timeout=self._first_read_timeout_s)
        if self._index is not None and self._index[0] == project:
            return self._index[2], ""
        apps, actions = self._partial
        if not actions and self._failed:
            raise self._failed[1]
        note = f"The catalogue is being read for the first time: {len(actions)} actions so far. Search again in a minute."
        pairs = [(hit_of(entry), entry.description) for entry in actions]
        return build_index([*apps, *popular()], [*pairs, *self._native_hits]), note

    def _start_reading(self, project: str) -> None:
        busy = self._read_task is not None and not self._read_task.done()
        # A broker that is down must not be asked by every search.
        recently_failed = self._failed is not None and time.monotonic() - self._failed[0] < RETRY_INTERVAL_S
        if not busy and not recently_failed:
            self._failed = None
            self._partial = ([], [])
            self._read_task = asyncio.create_task(self._read(project))

    async def _read(self, project: str) -> None:
        # Pages are added to these lists as they come, so that searches find them.
        apps, actions = self._partial
        try:
            await _read_all_pages(self._broker.apps, apps)
            await _read_all_pages(self._broker.actions, actions)
        except CodewordsError as error:
            log.warning("integration catalogue not read", error=error.message)
            self._failed = (time.monotonic(), error)
            return

        at = now()
        # Longer keys would not fit into the column.
        by_slug = {entry.slug: entry for entry in apps if len(entry.slug) <= MAX_KEY_CHARS}
        by_key = {entry.key: entry for entry in actions if len(entry.key) <= MAX_KEY_CHARS}
        cached = [("app", slug, entry.model_dump(mode="json")) for slug, entry in by_slug.items()]
        cached += [("action", key, entry.model_dump(mode="json")) for key, entry in by_key.items()]
        await self._database.write(rows.replace, project, cached, at)
        pairs = [*((hit_of(entry), entry.description) for entry in by_key.values()), *self._native_hits]
        self._index = (project, at, await asyncio.to_thread(build_index, by_slug.values(), pairs))
        self._checked_at = time.monotonic()
        self._partial = ([], [])
        log.info("integration catalogue read", apps=len(apps), actions=len(actions))


async def _read_all_pages(
    read: Callable[[str | None], Awaitable[tuple[list[T], str | None]]], found: list[T]
) -> None:
    """Read every page, once."""
    cursor: str | None = None
    # A broker's mistake must not become an endless loop: a cursor that returns ends it.
    seen: set[str] = set()
    for _ in range(MAX_PAGES):
        page, cursor = await read(cursor)
        found += page
        if not page or cursor is None or cursor in seen:
            return
        seen.add(cursor)


def _index_of_rows(
    apps: list[Any], actions: list[dict[str, Any]], native_hits: list[tuple[Hit, str]]
) -> ActionIndex:
    known = [App.model_validate(entry) for entry in apps]
    pairs = [
        (
            Hit.model_validate({name: entry[name] for name in ("key", "app", "name", "writes", "backend")}),
            str(entry.get("description") or ""),
        )
        for entry in actions
    ]
    return build_index(known, [*pairs, *native_hits])
