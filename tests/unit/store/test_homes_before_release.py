"""Homes of development versions: each opens, is complete, and has every row that it had."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, MetaData, create_engine, inspect, select
from tests.support.postgres import Postgres

from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.store import logs, runs, workflows
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.database_address import database_url
from codewords_mcp.runtime.store.migrations import COMPATIBLE, HEAD, REVISIONS, before_release, current
from codewords_mcp.runtime.store.migrations.initial_tables import metadata

HOMES = Path(__file__).parent / "homes_before_release"
HOME_REVISIONS = ["0001", "0026", "0043"]
LAST = "0043"

pytestmark = [pytest.mark.slow, pytest.mark.requirement("store:older")]

Rows = dict[str, list[dict[str, Any]]]
Load = Callable[[str], str | None]


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.requirement("store:postgres"))]
)
def load(request: pytest.FixtureRequest, tmp_path: Path) -> Load:
    """Load the home of a revision; returns the address of its database, None for the file in the home."""

    def load_sqlite(revision: str) -> None:
        with closing(sqlite3.connect(tmp_path / "codewords.db")) as connection:
            connection.executescript(_dump("sqlite", revision))

    def load_postgres(revision: str) -> str:
        server: Postgres = request.getfixturevalue("postgres")
        url = server.url()
        with psycopg.connect(url) as connection:
            connection.execute(_dump("postgresql", revision).encode())
        return url

    return load_sqlite if request.param == "sqlite" else load_postgres


@pytest.fixture
def engine_of(tmp_path: Path) -> Generator[Callable[[str | None], Engine]]:
    engines: list[Engine] = []

    def make(url: str | None) -> Engine:
        engines.append(create_engine(database_url(url or f"sqlite:///{tmp_path / 'codewords.db'}")))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()


def _dump(dialect: str, revision: str) -> str:
    return (HOMES / f"{dialect}-{revision}.sql").read_text(encoding="utf-8")


def _rows(engine: Engine) -> Rows:
    tables = MetaData()
    with engine.connect() as connection:
        tables.reflect(connection)
        return {
            table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in tables.sorted_tables
            if table.name != "alembic_version"
        }


def _schema(engine: Engine) -> dict[str, Any]:
    with engine.connect() as connection:
        inspector = inspect(connection)
        return {name: _describe(inspector, name) for name in inspector.get_table_names()}


def _describe(inspector: Any, table: str) -> dict[str, Any]:
    columns = [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(table)]
    indexes = [(i["name"], i["column_names"], bool(i["unique"])) for i in inspector.get_indexes(table)]
    unique = [(str(u["name"]), u["column_names"]) for u in inspector.get_unique_constraints(table)]
    keys = [
        (f["constrained_columns"], f["referred_table"], f["options"])
        for f in inspector.get_foreign_keys(table)
    ]
    return {"columns": sorted(columns), "indexes": sorted(indexes), "unique": sorted(unique), "keys": keys}


@pytest.mark.parametrize("revision", HOME_REVISIONS)
def test_a_home_of_a_development_version_opens_with_every_row_that_it_has(
    load: Load, engine_of: Callable[[str | None], Engine], tmp_path: Path, revision: str
) -> None:
    url = load(revision)
    engine = engine_of(url)
    before = _rows(engine)
    assert all(before.values()), "each table has rows"

    Database.open(tmp_path, url).close()

    after = _rows(engine)
    for table, rows in before.items():
        kept = [row for row in after[table] if row.get("name") != COMPATIBLE]
        assert [{name: row[name] for name in rows[0]} for row in kept] == rows, table
    assert current(engine) == HEAD


@pytest.mark.parametrize("revision", HOME_REVISIONS)
def test_its_tables_are_those_of_a_new_home(
    load: Load,
    engine_of: Callable[[str | None], Engine],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    revision: str,
) -> None:
    url = load(revision)
    new_url = None if url is None else request.getfixturevalue("postgres").url()
    (tmp_path / "new").mkdir()
    new_url = new_url or f"sqlite:///{tmp_path / 'new' / 'codewords.db'}"
    Database.open(tmp_path, url).close()
    Database.open(tmp_path / "new", new_url).close()

    assert _schema(engine_of(url)) == _schema(engine_of(new_url))


def test_the_code_reads_what_the_last_development_version_wrote(load: Load, tmp_path: Path) -> None:
    url = load(LAST)
    database = Database.open(tmp_path, url)

    def read(connection: Connection) -> tuple[Any, ...]:
        return (
            runs.get(connection, "run_0"),
            logs.read(connection, "run_0"),
            workflows.get(connection, "greeting_0"),
            workflows.version(connection, "greeting_0", 1),
        )

    run, lines, workflow, version = database.write_blocking(read)
    database.close()
    assert run.status == "succeeded"
    assert lines[0][0][2] == "Grüße"
    assert workflow.active_version == version.number == 1


def test_replicas_that_start_at_once_upgrade_such_a_home_once(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.url()
    with psycopg.connect(url) as connection:
        connection.execute(_dump("postgresql", "0026").encode())

    with ThreadPoolExecutor(3) as pool:
        replicas = list(pool.map(Database.open, [tmp_path] * 3, [url] * 3))

    assert current(replicas[0].engine) == HEAD
    for replica in replicas:
        replica.close()


@pytest.mark.requirement("store:schema-fits")
@pytest.mark.parametrize("revision", ["0026", LAST])
@pytest.mark.parametrize("lost", ["ALTER TABLE runs DROP COLUMN priority", "DROP TABLE run_requests"])
def test_such_a_home_that_lacks_parts_is_refused_by_name_and_left_alone(
    tmp_path: Path, revision: str, lost: str
) -> None:
    with closing(sqlite3.connect(tmp_path / "codewords.db")) as connection:
        connection.executescript(_dump("sqlite", revision))
        connection.execute(lost)
        connection.commit()
        before = list(connection.iterdump())

    with pytest.raises(StorageFailed, match=r"runs\.priority|run_requests") as refused:
        Database.open(tmp_path)

    assert "Nothing was changed" in str(refused.value)
    with closing(sqlite3.connect(tmp_path / "codewords.db")) as connection:
        assert list(connection.iterdump()) == before


def test_the_columns_of_the_last_development_version_are_those_of_the_first_release() -> None:
    assert before_release.columns_at(before_release.REVISIONS[-1]) == {
        table.name: set(table.columns.keys()) for table in metadata.sorted_tables
    }


def test_no_later_revision_has_the_name_of_an_old_one() -> None:
    assert set(REVISIONS).isdisjoint(before_release.REVISIONS)
