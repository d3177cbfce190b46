"""The catalogue of a project: read once, kept for whoever comes next, read anew when it is old."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.postgres import Postgres

from codewords_mcp.errors import NotFound, UpstreamFailed
from codewords_mcp.runtime.integrations.base import (
    BrokerRunResult,
    ConfiguredAction,
    ConnectUrl,
    DynamicProps,
    IntegrationBroker,
)
from codewords_mcp.runtime.integrations.catalogue import FRESH_S, Catalogue
from codewords_mcp.runtime.integrations.pipedream import read_action
from codewords_mcp.runtime.model.integration import Account, Action, App, Option
from codewords_mcp.runtime.store import integrations as rows
from codewords_mcp.runtime.store.database import Database
from codewords_testing.pipedream.catalogue import ACTIONS, APPS

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("integrations:catalogue")]


class Pages(IntegrationBroker):
    """A broker of which only the catalogue is there, four to a page."""

    def __init__(self) -> None:
        self.name = "proj_1/development"
        self.read: list[str] = []
        self.breaks = False
        self.goes_round = False
        self.known = [read_action(one) for one in ACTIONS]

    async def project(self) -> str | None:
        return self.name

    async def apps(self, cursor: str | None) -> tuple[list[App], str | None]:
        return self._page("apps", [App(slug=one["name_slug"], name=one["name"]) for one in APPS], cursor)

    async def actions(self, cursor: str | None) -> tuple[list[Action], str | None]:
        return self._page("actions", self.known, cursor)

    def _page(self, kind: str, items: list[Any], cursor: str | None) -> tuple[list[Any], str | None]:
        self.read.append(kind)
        if self.breaks:
            raise UpstreamFailed("It is away.", upstream_status=503)
        at = int(cursor or 0)
        return items[at : at + 4], "0" if self.goes_round else str(at + 4)

    async def schema(self, key: str) -> Action:
        self.read.append(key)
        found = next((one for one in self.known if one.key == key), None)
        if found is None:
            raise NotFound("There is none.")
        return found

    async def options(
        self, user: str, configured: ConfiguredAction, prop: str, query: str | None
    ) -> list[Option]:
        raise NotImplementedError

    async def reload(self, user: str, configured: ConfiguredAction) -> DynamicProps:
        raise NotImplementedError

    async def accounts(self, user: str, app: str | None = None) -> list[Account]:
        raise NotImplementedError

    async def connect(self, user: str, app: str, back: str) -> ConnectUrl:
        raise NotImplementedError

    async def disconnect(self, user: str, account: str) -> None:
        raise NotImplementedError

    async def run(self, user: str, configured: ConfiguredAction, seconds: float) -> BrokerRunResult:
        raise NotImplementedError


Opened = Callable[..., Catalogue]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncGenerator[Opened]:
    """Makes catalogues, each as another process would, over one store."""
    database = await asyncio.to_thread(Database.open, tmp_path)
    made: list[Catalogue] = []

    def make(
        broker: IntegrationBroker, fresh_s: float = FRESH_S, first_read_timeout_s: float = 20.0
    ) -> Catalogue:
        made.append(Catalogue(broker, database, fresh_s=fresh_s, first_read_timeout_s=first_read_timeout_s))
        return made[-1]

    yield make
    for one in made:
        await one.close()
    await database.drained()
    await asyncio.to_thread(database.close)


async def test_it_is_read_once_by_all_its_pages_and_found_by_the_next_process(opened: Opened) -> None:
    broker = Pages()
    index, note = await opened(broker).index()
    assert (len(index.entries), note) == (len(ACTIONS), "")
    assert set(index.apps) == {one["name_slug"] for one in APPS}
    read = len(broker.read)
    assert read == 4 + 5
    other, _ = await opened(broker).index()
    assert other.search("refund", 1)[0][0].key == "stripe-create-refund"
    assert len(broker.read) == read


@pytest.mark.requirement("store:postgres")
async def test_processes_that_share_a_database_may_write_it_at_once_and_the_last_one_holds(
    postgres: Postgres, tmp_path: Path
) -> None:
    database = await asyncio.to_thread(Database.open, tmp_path, postgres.migrated_url())
    broker = Pages()
    catalogues = [Catalogue(broker, database), Catalogue(broker, database)]
    await catalogues[0].index()
    read = len(broker.read)
    with database.engine.begin() as connection:
        rows.replace(connection, broker.name, [("action", "new", {"key": "new"})], 1)
        late = asyncio.create_task(catalogues[1].renew("stripe-create-refund"))
        whole = asyncio.create_task(
            database.aside(lambda c: rows.replace(c, broker.name, [("action", "new", {"key": "newest"})], 2))
        )
        waiting = 0
        while waiting < 2:
            await asyncio.sleep(0)
            waiting = connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one()
    await late
    await whole
    assert await database.read(lambda c: rows.get(c, broker.name, "action", "new")) == ({"key": "newest"}, 2)
    assert broker.read[read:] == ["stripe-create-refund"]
    assert await database.read(lambda c: rows.read_at(c, broker.name)) == 2
    for one in catalogues:
        await one.close()
    await asyncio.to_thread(database.close)


async def test_an_old_one_answers_while_it_is_read_anew(opened: Opened) -> None:
    broker = Pages()
    await opened(broker).index()
    kept = opened(broker, fresh_s=0.0)
    broker.known = [one for one in broker.known if one.app != "stripe"]
    old, _ = await kept.index()
    assert old.search("refund a stripe charge", 1)[0][0].key == "stripe-create-refund"
    await kept.wait_until_read()
    new, _ = await kept.index()
    assert "stripe" not in {entry.hit.app for entry in new.entries}


async def test_a_reading_that_fails_is_told_and_not_tried_again_at_once(opened: Opened) -> None:
    broker = Pages()
    broker.breaks = True
    kept = opened(broker)
    for _ in range(2):
        with pytest.raises(UpstreamFailed):
            await kept.index()
    assert broker.read == ["apps"]


async def test_an_old_one_that_cannot_be_read_anew_says_that_it_is_old(opened: Opened) -> None:
    broker = Pages()
    await opened(broker).index()
    kept = opened(broker, fresh_s=0.0)
    broker.breaks = True
    await kept.index()
    await kept.wait_until_read()
    index, note = await kept.index()
    assert len(index.entries) == len(ACTIONS)
    assert note == "This list is outdated: It is away."


async def test_a_first_reading_that_takes_long_answers_from_what_there_is(opened: Opened) -> None:
    index, note = await opened(Pages(), first_read_timeout_s=0.0).index()
    assert "being read for the first time" in note
    assert "slack_v2" in index.apps


async def test_cursors_that_go_round_end_the_reading(opened: Opened) -> None:
    broker = Pages()
    broker.goes_round = True
    index, _ = await opened(broker).index()
    assert len(index.entries) == 4


async def test_another_project_has_a_catalogue_of_its_own(opened: Opened) -> None:
    broker = Pages()
    kept = opened(broker)
    await kept.index()
    broker.name, broker.known = "proj_2/production", broker.known[:1]
    index, _ = await kept.index()
    assert len(index.entries) == 1


async def test_an_action_is_taken_from_what_was_read_and_asked_for_where_it_is_newer(opened: Opened) -> None:
    broker = Pages()
    kept = opened(broker)
    await kept.index()
    broker.read.clear()
    assert (await kept.action("stripe-create-refund")).props[1].name == "charge"
    assert broker.read == []
    broker.known.append(broker.known[0].model_copy(update={"key": "stripe-new"}))
    assert (await kept.action("stripe-new")).key == "stripe-new"
    assert (await kept.action("stripe-new")).key == "stripe-new"
    assert broker.read == ["stripe-new"]
    with pytest.raises(NotFound):
        await kept.action("stripe-none")
