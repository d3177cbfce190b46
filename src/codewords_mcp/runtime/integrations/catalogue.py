"""What there is in the home's project, kept in the store: read page by page, good for a day, searched in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import structlog

from codewords_mcp.cancellation import end
from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.integrations.base import IntegrationBroker
from codewords_mcp.runtime.integrations.popular import popular
from codewords_mcp.runtime.integrations.search import ActionIndex
from codewords_mcp.runtime.model.integration import Action, App, Hit
from codewords_mcp.runtime.store import integrations as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

FRESH = 86400.0
"""Seconds for which what was read is good; after that it still answers, while it is read anew."""
AGAIN_AFTER = 300.0
"""Seconds after which a reading that failed is tried again."""
FIRST_WITHIN = 20.0
"""Seconds that a search waits for the first reading; then it answers from what there is by then."""
MOST_PAGES = 1000
LONGEST = 200
"""Characters of a key that is kept."""
_CHECK_EVERY = 30.0
T = TypeVar("T")
log = structlog.get_logger(__name__)


def hit_of(action: Action) -> Hit:
    """What a list shows of an action."""
    return Hit(key=action.key, app=action.app, name=action.name, writes=action.writes, backend=action.backend)


def build(apps: Iterable[App], actions: Iterable[tuple[Hit, str]]) -> ActionIndex:
    """An index of these; well-known apps get the names by which people call them, and their weight."""
    known = {app.slug: app for app in popular()}
    found = list(apps)
    featured = sorted((app.weight for app in found if app.weight), reverse=True)
    most = float(len(known))

    def weighed(app: App) -> App:
        own = known.get(app.slug)
        # a broker's own weights are of no known scale: their order counts, below what is kept here
        if own is None and app.weight:
            rank = most * 0.5 * (1 - featured.index(app.weight) / len(featured))
        else:
            rank = 0.0

        if own:
            more = f"{app.words} {own.words}"
        else:
            more = app.words

        return app.model_copy(update={"weight": own.weight if own else rank, "words": more})

    return ActionIndex.of(map(weighed, found), actions)


class Catalogue:
    """The index of the project, and its actions by key. For one event loop; `close` it."""

    def __init__(self, broker: IntegrationBroker, database: Database, others: Iterable[Hit] = ()) -> None:
        """`others` are found beside what is the project's."""
        self._broker = broker
        self._others = [(hit, "") for hit in others]
        self._database = database
        self._index: tuple[str, int, ActionIndex] | None = None
        self._looked = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._failed: tuple[float, CodewordsError] | None = None
        self._so_far: tuple[list[App], list[Action]] = ([], [])

    async def index(self) -> tuple[ActionIndex, str]:
        """(what can be found, "" or a sentence on why it may not be all). Raises what the first reading raised."""
        project = await self._broker.project()
        assert project is not None  # noqa: S101  # who asks has looked
        read_at = await self._load(project)
        stale = read_at is None or now() - read_at > FRESH * 1e6
        if stale:
            self._begin(project)
        if self._index is not None and self._index[0] == project:
            note = ""
            if stale and self._failed:
                note = f"This list is old: {self._failed[1].message}"
            return self._index[2], note

        return await self._first(project)

    async def action(self, key: str) -> Action:
        """One, as it was read last; one that nobody has read is asked for. Raises NotFound and what the broker raises."""
        project = await self._broker.project() or ""
        kept = await self._database.read(rows.get, project, "action", key)
        if kept is not None and now() - kept[1] < FRESH * 1e6:
            return Action.model_validate(kept[0])
        return await self.renew(key)

    async def renew(self, key: str) -> Action:
        """One as it is now, kept. Raises NotFound and what the broker raises."""
        project = await self._broker.project() or ""
        action = await self._broker.schema(key)
        data = action.model_dump(mode="json")
        await self._database.write(lambda c: rows.put(c, project, "action", key, data, now()))
        return action

    async def settled(self) -> None:
        """Wait until what is being read has been."""
        if self._reading is not None:
            await asyncio.wait([self._reading])

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            await end([self._reading])

    async def _load(self, project: str) -> int | None:
        """When the catalogue was read; what another process has read since is taken in."""
        kept = self._index
        if kept is not None and kept[0] == project and time.monotonic() - self._looked < _CHECK_EVERY:
            return kept[1]

        read_at = await self._database.read(rows.read_at, project)
        self._looked = time.monotonic()
        if read_at is not None and (kept is None or kept[:2] != (project, read_at)):
            apps = await self._database.read(rows.all_of, project, "app")
            actions = await self._database.read(rows.all_of, project, "action")
            self._index = (project, read_at, await asyncio.to_thread(_of_rows, apps, actions, self._others))

        return read_at

    async def _first(self, project: str) -> tuple[ActionIndex, str]:
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=FIRST_WITHIN)
        if self._index is not None and self._index[0] == project:
            return self._index[2], ""
        apps, actions = self._so_far
        if not actions and self._failed:
            raise self._failed[1]
        note = f"The catalogue is being read for the first time: {len(actions)} actions so far. Search again in a minute."
        pairs = [(hit_of(one), one.description) for one in actions]
        return build([*apps, *popular()], [*pairs, *self._others]), note

    def _begin(self, project: str) -> None:
        busy = self._reading is not None and not self._reading.done()
        lately = self._failed is not None and time.monotonic() - self._failed[0] < AGAIN_AFTER
        if not busy and not lately:
            self._failed = None
            self._so_far = ([], [])
            self._reading = asyncio.create_task(self._read(project))

    async def _read(self, project: str) -> None:
        apps, actions = self._so_far
        try:
            await _pages(self._broker.apps, apps)
            await _pages(self._broker.actions, actions)
        except CodewordsError as error:
            log.warning("the catalogue of integrations could not be read", error=error.message)
            self._failed = (time.monotonic(), error)
            return

        at = now()
        by_slug = {one.slug: one for one in apps if len(one.slug) <= LONGEST}
        by_key = {one.key: one for one in actions if len(one.key) <= LONGEST}
        kept = [("app", slug, one.model_dump(mode="json")) for slug, one in by_slug.items()]
        kept += [("action", key, one.model_dump(mode="json")) for key, one in by_key.items()]
        await self._database.write(rows.replace, project, kept, at)
        pairs = [*((hit_of(one), one.description) for one in by_key.values()), *self._others]
        self._index = (project, at, await asyncio.to_thread(build, by_slug.values(), pairs))
        self._looked = time.monotonic()
        self._so_far = ([], [])
        log.info("the catalogue of integrations was read", apps=len(apps), actions=len(actions))


async def _pages(read: Callable[[str | None], Awaitable[tuple[list[T], str | None]]], found: list[T]) -> None:
    """Take in every page, once: a cursor that comes back ends it too."""
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(MOST_PAGES):
        page, cursor = await read(cursor)
        found += page
        if not page or cursor is None or cursor in seen:
            return
        seen.add(cursor)


def _of_rows(apps: list[Any], actions: list[dict[str, Any]], others: list[tuple[Hit, str]]) -> ActionIndex:
    known = [App.model_validate(one) for one in apps]
    pairs = [
        (
            Hit.model_validate({name: one[name] for name in ("key", "app", "name", "writes", "backend")}),
            str(one.get("description") or ""),
        )
        for one in actions
    ]
    return build(known, [*pairs, *others])
