"""The database: transactions through threads, migrations, and what a person reads when the disk does not play along."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvloop
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, insert, inspect, select, text
from tests.support.postgres import Postgres

from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.store import database as databases
from codewords_mcp.runtime.store import logs, migrations, run_purge, runs, workflows
from codewords_mcp.runtime.store.clock import now, to_text
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.migrations import REVISIONS, migrate
from codewords_mcp.runtime.store.schema import all_tables
from codewords_mcp.runtime.store.tables import meta

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("store:migrations", "store:errors")]


@pytest.fixture
def database(tmp_path: Path):
    opened = Database.open(tmp_path)
    yield opened
    opened.close()


@pytest.mark.requirement("store:write-soon")
def test_writes_are_gathered_also_where_their_time_is_over_at_once(database: Database) -> None:
    row: RunColumns = {"id": "run", "owner": "o", "status": "queued", "created_at": 1}

    async def write_two() -> None:
        # No time is left, as where a busy machine stops the process in between; the runtime's own loop has no timer then.
        add = database._add_soon  # pyright: ignore[reportPrivateUsage]
        await asyncio.gather(
            add(lambda c: runs.add(c, row), 0.0, keep=False),
            add(lambda c: runs.change(c, "run", {"status": "starting"}), 0.0, keep=False),
        )

    uvloop.run(write_two())
    found = database.write_blocking(runs.get, "run")
    assert found is not None
    assert found.status == "starting"


def _columns(connection: Connection) -> dict[str, set[tuple[str, bool]]]:
    inspector = inspect(connection)
    return {
        name: {(c["name"], c["nullable"]) for c in inspector.get_columns(name)}
        for name in inspector.get_table_names()
        if name != "alembic_version"
    }


EXPECTED = {t.name: {(c.name, bool(c.nullable)) for c in t.columns} for t in all_tables()}


def test_migrations_make_exactly_the_tables_that_the_code_uses(database: Database) -> None:
    assert database.write_blocking(_columns) == EXPECTED


@pytest.mark.requirement("store:postgres")
def test_migrations_make_the_same_tables_on_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    opened = Database.open(tmp_path, postgres.url())
    assert opened.write_blocking(_columns) == EXPECTED
    opened.close()


def test_the_revision_of_a_migration_is_the_name_of_its_file() -> None:
    folder = Path(migrations.__file__).parent
    scripts = ScriptDirectory(str(folder), version_locations=[str(folder / "versions")])
    assert tuple(one.revision for one in reversed(list(scripts.walk_revisions()))) == REVISIONS


def test_a_home_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    Database.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "codewords.db") as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(StorageFailed, match="newer version"):
        Database.open(tmp_path)
    raw = sqlite3.connect(tmp_path / "codewords.db")
    assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    raw.close()


def test_a_file_that_is_no_database_is_said_to_be_damaged(tmp_path: Path) -> None:
    (tmp_path / "codewords.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StorageFailed, match="damaged"):
        Database.open(tmp_path)


async def test_text_that_a_query_cannot_read_damages_no_database(database: Database) -> None:
    with pytest.raises(StorageFailed) as caught:
        await database.read(lambda c: c.execute(text("SELECT json_extract('{', '$.a')")))
    assert "damaged" not in caught.value.message


async def test_a_failing_transaction_leaves_nothing_behind(database: Database) -> None:
    def fail(connection: Connection) -> None:
        runs.add(connection, {"id": "r", "owner": "o", "status": "queued", "created_at": now()})
        raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        await database.write(fail)
    assert await database.read(lambda c: runs.get(c, "r")) is None


async def test_a_full_database_gives_a_sentence_and_loses_nothing(database: Database) -> None:
    await database.write(
        lambda c: runs.add(c, {"id": "kept", "owner": "o", "status": "queued", "created_at": now()})
    )

    def limit(connection: Connection) -> None:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages + 2}"))
        for index in range(2000):
            logs.append(connection, [("kept", index, [(to_text(now()), "stdout", "x" * 4000)])])

    with pytest.raises(StorageFailed, match="full"):
        await database.write(limit)
    assert (await database.read(lambda c: runs.get(c, "kept"))) is not None
    assert await database.read(lambda c: logs.read(c, "kept")) == ([], 0, False)


async def test_many_writers_and_readers_at_once_all_get_through(database: Database) -> None:
    async def one(index: int) -> None:
        await database.write(
            lambda c: runs.add(c, {"id": f"r{index}", "owner": "o", "status": "queued", "created_at": now()})
        )
        assert await database.read(lambda c: runs.get(c, f"r{index}")) is not None

    await asyncio.gather(*(one(index) for index in range(200)))
    assert await database.read(run_purge.count) == 200


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.requirement("replicas:database-away", "runs:once")
async def test_a_connection_that_breaks_at_the_commit_makes_it_happen_once(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    shared = Database.open(tmp_path, postgres.url())
    commit, breaks = shared.engine.dialect.do_commit, 1

    def breaking(connection: Any) -> None:
        nonlocal breaks
        breaks -= 1
        if breaks < 0 or not before:
            commit(connection)
        if breaks >= 0:
            connection.dbapi_connection.close()  # what was not committed is lost with it
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    row: RunColumns = {"id": "one", "owner": "local", "status": "queued", "created_at": now()}
    await shared.write(lambda c: c.execute(text("CREATE TABLE counted (n INTEGER)")))
    monkeypatch.setattr(shared.engine.dialect, "do_commit", breaking)
    said = await shared.write(
        lambda c: [c.execute(text("INSERT INTO counted VALUES (1)")), runs.add(c, row), "said"]
    )
    assert said[-1] == "said"
    assert await shared.read(lambda c: c.execute(text("SELECT count(*) FROM counted")).scalar()) == 1
    assert breaks < 0
    shared.close()


@pytest.mark.requirement("store:in-doubt")
async def test_what_a_server_that_crashes_loses_at_the_commit_is_done_again(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it gives the lost transaction's number to another one, which it had not written down yet."""
    url = postgres.url()
    database = Database.open(tmp_path, url)
    await database.write(lambda c: c.execute(text("CREATE TABLE t (x int)")))
    commit, crashes = database.engine.dialect.do_commit, 1

    def crashing(connection: Any) -> None:
        nonlocal crashes
        crashes -= 1
        if crashes == 0:
            number = connection.execute("SELECT txid_current()").fetchone()[0]
            postgres.crash()
            give_numbers(url, number)
        commit(connection)

    monkeypatch.setattr(database.engine.dialect, "do_commit", crashing)
    await database.write(lambda c: c.execute(text("INSERT INTO t VALUES (1)")))
    assert await database.read(lambda c: c.execute(text("SELECT count(*) FROM t")).scalar()) == 1
    assert crashes < 0
    database.close()


def give_numbers(url: str, until: int) -> None:
    """Transactions of others, until one has this number."""
    given = 0
    while given < until:
        with suppress(psycopg.OperationalError), psycopg.connect(url) as other:
            (given,) = other.execute("SELECT txid_current()").fetchone() or (0,)


@pytest.mark.slow
@pytest.mark.requirement("store:stands-still")
async def test_a_process_that_stands_still_in_a_transaction_holds_its_locks_for_a_while_only(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.url()
    standing, other = (Database.open(tmp_path, url, idle_timeout=1) for _ in range(2))
    locked, go_on = threading.Event(), threading.Event()
    tries: list[int] = []

    def stand_still(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(1)"))
        tries.append(1)
        locked.set()
        go_on.wait(120)

    stood = asyncio.ensure_future(standing.write(stand_still))
    await asyncio.to_thread(locked.wait, 30)
    await other.write(lambda c: c.execute(text("SELECT pg_advisory_xact_lock(1)")))
    go_on.set()
    await stood
    assert len(tries) == 2, "what was ended by the server is done again"
    standing.close()
    other.close()


@contextmanager
def lock_held(home: Path) -> Generator[None]:
    """The write lock in another program's hands, as in a database shell with an open transaction."""
    other = sqlite3.connect(home / "codewords.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.rollback()
        other.close()


def _add(name: str) -> Callable[[Connection], None]:
    return lambda c: runs.add(c, {"id": name, "owner": "o", "status": "queued", "created_at": now()})


@pytest.mark.requirement("store:reads-go-on")
async def test_reads_are_answered_while_writes_of_any_kind_wait_for_a_lock(
    database: Database, tmp_path: Path
) -> None:
    await database.write(_add("before"))
    with lock_held(tmp_path):
        soon = database.write_soon(_add("soon"))
        kept = database.write_with_retries(_add("kept"))
        waited = asyncio.create_task(database.write(_add("waited")))
        for _ in range(50):
            assert await database.read(run_purge.count) == 1
        assert not soon.done()
        assert not waited.done()
        assert database.stalled
    await asyncio.gather(soon, kept, waited)
    assert await database.read(run_purge.count) == 4
    assert not database.stalled


@pytest.mark.requirement("store:reads-go-on")
async def test_a_read_that_decides_what_is_allowed_waits_for_what_was_written_before_it(
    database: Database, tmp_path: Path
) -> None:
    with lock_held(tmp_path):
        database.write_soon(_add("soon"))
        careful = asyncio.create_task(database.read_within(databases.WRITE_TIMEOUT, run_purge.count))
        assert await database.read(run_purge.count) == 0
        assert not careful.done()
    assert await careful == 1


@pytest.mark.slow
@pytest.mark.requirement("store:reads-go-on")
async def test_writes_that_a_lock_keeps_waiting_are_refused_together_and_what_must_be_kept_is_written_later(
    tmp_path: Path,
) -> None:
    database = Database.open(tmp_path, write_timeout=1.5)
    with lock_held(tmp_path):
        kept = database.write_with_retries(_add("kept"))
        lost = [database.write_soon(_add(f"lost{n}")) for n in range(20)]
        waited = [database.write(_add(f"waited{n}")) for n in range(20)]
        refused = await asyncio.gather(*lost, *waited, return_exceptions=True)
        assert {type(one) for one in refused} == {StorageFailed}
        assert "locked" in str(refused[0])
        assert not kept.done()
    await kept
    assert await database.read(run_purge.count) == 1
    database.close()


@pytest.mark.requirement("store:file-gone")
@pytest.mark.parametrize("how", ["deleted", "replaced", "folder moved"])
async def test_a_database_file_that_is_gone_takes_no_writes_and_no_new_one_is_made(
    database: Database, tmp_path: Path, how: str
) -> None:
    await database.write(_add("before"))
    path = tmp_path / "codewords.db"
    if how == "folder moved":
        for side in ("", "-wal", "-shm"):
            path.with_name(path.name + side).rename(tmp_path.parent / f"{tmp_path.name}-moved{side}")
    else:
        path.unlink()
    if how == "replaced":
        path.touch()
    for write in (database.write(_add("late")), database.write_with_retries(_add("soon"))):
        with pytest.raises(StorageFailed, match="deleted or replaced"):
            await write
    database.engine.dispose()  # a new connection would make a new, empty database
    with pytest.raises(StorageFailed):
        await database.read(run_purge.count)
    assert path.exists() is (how == "replaced")


@pytest.mark.requirement("store:private")
@pytest.mark.parametrize("umask", [0o022, 0o000])
async def test_the_database_and_its_wal_are_for_their_owner_only_also_where_they_were_not(
    tmp_path: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        tmp_path.chmod(0o755)
        opened = Database.open(tmp_path)
        await opened.write(_add("one"))
        files = sorted(tmp_path.glob("codewords.db*"))
        assert len(files) == 3
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
        opened.close()
        (tmp_path / "codewords.db").chmod(0o644)
        Database.open(tmp_path).close()
        assert (tmp_path / "codewords.db").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


@pytest.mark.requirement("store:schema-fits")
@pytest.mark.parametrize("version", REVISIONS)
@pytest.mark.parametrize("lost", ["ALTER TABLE runs DROP COLUMN priority", "DROP TABLE run_requests"])
@pytest.mark.slow
def test_a_database_that_lacks_parts_of_its_version_is_refused_by_name_and_left_alone(
    tmp_path: Path, version: str, lost: str
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'codewords.db'}")
    migrate(engine, version)
    with engine.begin() as connection:
        connection.execute(text(lost))
    engine.dispose()
    with pytest.raises(StorageFailed, match=r"runs\.priority|run_requests") as refused:
        Database.open(tmp_path)
    assert "Nothing was changed" in str(refused.value)
    raw = sqlite3.connect(tmp_path / "codewords.db")
    assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == (version,)
    raw.close()


@pytest.mark.requirement("store:schema-fits", "store:postgres")
def test_a_postgresql_database_that_lacks_parts_of_its_version_is_refused(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.url()
    opened = Database.open(tmp_path, url)
    opened.write_blocking(lambda c: c.execute(text("ALTER TABLE runs DROP COLUMN priority")))
    opened.close()
    with pytest.raises(StorageFailed, match=r"runs\.priority"):
        Database.open(tmp_path, url)


async def test_a_function_of_rows_gets_the_arguments_that_are_passed_beside_it(database: Database) -> None:
    def add(connection: Connection, name: str, *, value: str) -> str:
        connection.execute(insert(meta).values(name=name, value=value))
        return value

    def find(connection: Connection, name: str) -> str | None:
        return connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar()

    assert await database.write(add, "now", value="1") == "1"
    database.write_soon(add, "soon", value="2")
    database.write_with_retries(add, "later", value="3")

    assert [await database.read(find, name) for name in ("now", "soon", "later", "never")] == [
        "1",
        "2",
        "3",
        None,
    ]
    assert await database.read_within(0, find, "now") == "1"


async def test_writes_keep_to_one_connection_whatever_reads_have_opened(database: Database) -> None:
    readers = 3
    together = threading.Barrier(readers)

    def read(_connection: Connection) -> None:
        together.wait(60)

    await asyncio.gather(*(database.read(read) for _ in range(readers)))
    used = {await database.write(_raw_connection) for _ in range(2 * readers)}
    assert len(used) == 1


def _raw_connection(connection: Connection) -> int:
    return id(connection.connection.dbapi_connection)


@pytest.mark.requirement("store:among-many")
@pytest.mark.parametrize(
    ("column", "index"), [("parent_id", "ix_runs_parent"), ("schedule_id", "ix_runs_schedule")]
)
def test_sqlite_finds_the_few_runs_of_a_parent_or_schedule_by_an_index_of_those(
    database: Database, column: str, index: str
) -> None:
    def plan(connection: Connection) -> str:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN SELECT * FROM runs WHERE {column} = ?", ("x",))
        return " ".join(row.detail for row in rows)

    assert f"SEARCH runs USING INDEX {index}" in database.write_blocking(plan)

    def where(connection: Connection) -> str | None:
        made = text("SELECT sql FROM sqlite_master WHERE name = :index")
        return connection.execute(made, {"index": index}).scalar()

    assert f"WHERE {column} IS NOT NULL" in (database.write_blocking(where) or "")


@pytest.mark.requirement("store:older")
def test_versions_from_before_deployers_were_kept_stay_without_one(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'codewords.db'}")
    migrations.migrate(engine, "0003_sparse_indexes")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO workflows (id, owner, name, description, public, created_at, updated_at, active_version)"
            " VALUES ('w', 'o', 'W', '', 0, 1, 1, 1)"
        )
        connection.exec_driver_sql(
            "INSERT INTO versions (id, workflow_id, number, code, code_hash, environment, openapi, checks, description, created_at)"
            " VALUES ('v', 'w', 1, '', '', '', '{}', '[]', 'kept', 1)"
        )
    engine.dispose()

    opened = Database.open(tmp_path)
    (version,) = opened.write_blocking(lambda c: workflows.list_versions(c, "w"))
    opened.close()
    assert (version["description"], version["deployed_by"]) == ("kept", None)
