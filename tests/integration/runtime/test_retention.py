"""A home stays bounded: what is past its time goes, and the file becomes smaller while runs are written."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select
from tests.support.databases import open_database
from tests.support.postgres import Postgres
from tests.support.waiting import until_async

from codewords_mcp.runtime.api.lifecycle import close_container, open_container
from codewords_mcp.runtime.api.maintenance import tidy
from codewords_mcp.runtime.api.status import store_status
from codewords_mcp.runtime.model.availability import Hosting
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.store import logs, retention, run_purge, runs, tables, workflows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("store:bounded")]
DAY = 86_400_000_000


def add(connection: Connection, count: int, *, age: int, log: bool = True, size: int = 10_000) -> None:
    """Finished runs of so many days ago, and one that waits since then."""
    at = now() - age * DAY
    for number in range(count):
        row: RunColumns = {
            "id": f"{age}/{number}",
            "owner": "o",
            "status": "succeeded",
            "created_at": at + number,
        }
        runs.add(connection, row | {"response_content": "x" * size})
        if log:
            logs.append(connection, [(row["id"], 0, [("2026-01-31T09:30:00.000250Z", "stdout", "y" * size)])])


async def is_less(file: Path, size: float) -> bool:
    return file.stat().st_size < size


def ids(connection: Connection) -> set[str]:
    return set(connection.execute(select(tables.runs.c.id)).scalars())


@pytest.mark.requirement("store:write-soon")
async def test_the_file_shrinks_while_runs_are_written(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    container = await open_container(settings, Hosting())
    file = settings.home / "codewords.db"
    await container.database.write(lambda c: add(c, 1500, age=40))
    await container.database.write(
        lambda c: runs.add(c, {"id": "waits", "owner": "o", "status": "queued", "created_at": 1})
    )
    with closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA wal_checkpoint(PASSIVE)")
    large = file.stat().st_size
    assert large > 20 << 20
    tidied, written = asyncio.Event(), 0

    async def write_on() -> None:
        nonlocal written
        while not tidied.is_set():
            await container.database.write_soon(add, 1, age=-written, size=10)
            written += 1

    writer = asyncio.create_task(write_on())
    await tidy(container, settings)
    # At the next checkpoint where another one went on just now.
    await until_async(lambda: is_less(file, large / 2), "a smaller file")
    tidied.set()
    await writer
    assert written > 10, "writes went on meanwhile"
    kept = await container.database.read(ids)
    assert len(kept) == written + 1
    assert "waits" in kept
    status = await store_status(container)
    assert (status["kind"], status["shrinks"]) == ("SQLite", True)
    assert status["bytes"] < large / 2
    await close_container(container)


@pytest.mark.requirement("store:postgres")
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_many_runs_are_counted_when_a_hundredth_of_those_kept_is_new_or_other_many_are_to_be_kept(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = request.getfixturevalue("postgres").migrated_url() if kind == "postgres" else None
    database, home = open_database(tmp_path, url), tmp_path / "home"

    async def left(kept: int) -> int:
        await retention.prune(database, Settings(home=home, runs_kept=kept), few=10)
        return await database.read(run_purge.count)

    await database.write(add, 250, age=1, log=False, size=1)
    assert await left(200) == 200
    await database.write(add, 1, age=0, log=False, size=1)
    assert await left(200) == 201, "one is less than a hundredth"
    await database.write(add, 1, age=-1, log=False, size=1)
    assert await left(200) == 200
    assert await left(150) == 150, "another number is to be kept"
    database.close()


@pytest.mark.requirement("store:postgres")
async def test_of_several_replicas_one_removes_runs_in_a_round(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.migrated_url()
    one, other = (open_database(tmp_path / name, url) for name in ("one", "other"))
    began = await asyncio.gather(*(each.write(retention.begin_round, 600.0) for each in (one, other)))
    assert sorted(began) == [False, True]
    assert await other.write(retention.begin_round, 0.0), "the round before has ended"
    assert not await one.write(retention.begin_round, 600.0)
    for each in (one, other):
        each.close()


@pytest.mark.requirement("store:postgres")
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_the_oldest_runs_beyond_those_kept_go_and_old_logs_before_their_runs(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOGS_AT_ONCE", 1)  # it takes several pieces
    url = None if kind == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    database = open_database(tmp_path, url)
    for age in (1, 2, 3):
        await database.write(add, 2, age=age, size=10)
    await retention.prune(database, Settings(runs_kept=4, log_ttl=1.5 * 86400))
    assert await database.read(ids) == {"1/0", "1/1", "2/0", "2/1"}
    logged = await database.read(lambda c: set(c.execute(select(tables.log_chunks.c.run_id)).scalars()))
    assert logged == {"1/0", "1/1"}
    assert (await database.read(retention.size)).bytes > 0
    database.close()


async def test_a_database_that_could_not_shrink_is_rewritten_when_it_is_opened(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    settings.home.mkdir()
    database = open_database(settings.home)
    database.write_blocking(lambda c: add(c, 3, age=1))
    database.close()
    file = settings.home / "codewords.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode=DELETE")
        old.execute("PRAGMA auto_vacuum=NONE")
        old.execute("VACUUM")
        assert old.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    container = await open_container(settings, Hosting())
    assert (await container.database.read(retention.size)).shrinks
    assert len(await container.database.read(ids)) == 3
    await close_container(container)


async def test_environments_of_what_is_live_and_of_the_newest_versions_are_kept(tmp_path: Path) -> None:
    database = open_database(tmp_path)

    def fill(connection: Connection) -> None:
        row = {"id": "w", "owner": "o", "name": "w", "description": "", "public": False, "active_version": 1}
        connection.execute(insert(tables.workflows).values(row | {"created_at": 1, "updated_at": 1}))
        for number in range(1, 7):
            version: dict[str, Any] = {
                "id": str(number), "workflow_id": "w", "number": number, "environment": f"e{number}", "code": "",
                "code_hash": "", "openapi": {}, "checks": [], "description": "", "created_at": 1,
            }  # fmt: skip
            connection.execute(insert(tables.versions).values(version))

    await database.write(fill)
    assert await database.read(lambda c: workflows.environments_in_use(c, 2)) == {"e1", "e5", "e6"}
    assert await database.read(lambda c: workflows.environments_in_use(c, 0)) == {"e1"}
    database.close()
