"""Migrations only add, so that the release before goes on beside them, and can be gone back to."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from tests.support.newer_release import NEWER, add_to_tables
from tests.support.postgres import Postgres
from tests.support.waiting import until

from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.store import run_purge, runs
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.database_address import database_url
from codewords_mcp.runtime.store.migrations import HEAD, REVISIONS, current, declare_compatible, migrate

pytestmark = [pytest.mark.requirement("store:compatible")]

BEFORE_THE_RULE = {
    "0001_initial",  # the beginning
    "0002_recordings",  # an index of runs
    "0003_sparse_indexes",  # three indexes of runs
}
"""This list does not grow."""
SMALL = {"keys", "workflows"}
"""Tables of some thousand rows at the most: an index of one is made in a moment."""
_HARMLESS = re.compile(
    r"(SELECT|SET LOCAL|INSERT INTO (alembic_version|meta)\b|UPDATE alembic_version|DELETE FROM meta)\b"
)
_TABLE = re.compile(r"CREATE TABLE (\w+)")
_INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX \w+ ON (\w+)")
_COLUMN = re.compile(r"ALTER TABLE \w+ ADD COLUMN (.+)", re.DOTALL)


def refusal(statement: str, made: set[str]) -> str:
    """The reason for which a statement of a migration is refused; "" for one that only adds. `made`: its new tables."""
    statement = statement.strip()
    if _HARMLESS.match(statement):
        return ""
    if table := _TABLE.match(statement):
        made.add(table[1])
        return ""
    if index := _INDEX.match(statement):
        if index[1] in made | SMALL:
            return ""
        return "an index of a table that may be large keeps its writers waiting"
    if column := _COLUMN.match(statement):
        if "NOT NULL" in column[1]:
            return "rows of the release before lack the column"
        if "DEFAULT" in column[1] and "(" in column[1].partition("DEFAULT")[2]:
            return "a default that is computed rewrites the table"
        return ""
    return "it changes or removes what the release before uses"


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("ALTER TABLE runs ADD COLUMN note TEXT", ""),
        ("ALTER TABLE runs ADD COLUMN note TEXT NOT NULL", "lack"),
        ("ALTER TABLE runs ADD COLUMN at BIGINT DEFAULT random()", "rewrites"),
        ("ALTER TABLE runs DROP COLUMN input", "removes"),
        ("ALTER TABLE runs RENAME COLUMN input TO inputs", "removes"),
        ("ALTER TABLE runs ALTER COLUMN input TYPE TEXT", "removes"),
        ("DROP TABLE runs", "removes"),
        ("CREATE INDEX ix ON runs (owner)", "writers"),
        ("CREATE INDEX ix ON fresh (owner)", ""),
        ("CREATE INDEX ix ON keys (owner)", ""),
        ("UPDATE runs SET note = ''", "removes"),
    ],
)
def test_the_rule_of_migrations_refuses_what_does_not_only_add(statement: str, reason: str) -> None:
    found = refusal(statement, {"fresh"})
    assert reason in found
    assert bool(reason) is bool(found)


@pytest.mark.requirement("store:postgres")
@pytest.mark.slow
def test_migrations_only_add(postgres: Postgres) -> None:
    engine = create_engine(database_url(postgres.url()))
    statements: list[str] = []

    def collect(_connection: Connection, _cursor: object, statement: str, *_more: object) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", collect)
    refused: dict[str, list[str]] = {}
    for revision in REVISIONS:
        statements.clear()
        migrate(engine, revision)
        made: set[str] = set()
        reasons = [f"{found}: {statement}" for statement in statements if (found := refusal(statement, made))]
        if reasons:
            refused[revision] = reasons
    engine.dispose()
    assert set(refused) == BEFORE_THE_RULE, refused


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    """The address of an empty PostgreSQL, or None for SQLite."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres").url()


@pytest.fixture
def engine(url: str | None, tmp_path: Path) -> Iterator[Engine]:
    """An engine of the home's database, which is migrated."""
    Database.open(tmp_path, url).close()
    target = make_url(f"sqlite:///{tmp_path / 'codewords.db'}") if url is None else database_url(url)
    engine = create_engine(target)
    yield engine
    engine.dispose()


@pytest.mark.requirement("store:postgres")
def test_a_database_that_a_newer_release_added_to_is_served_and_left_as_it_is(
    url: str | None, engine: Engine, tmp_path: Path
) -> None:
    running = Database.open(tmp_path, url)
    with engine.begin() as connection:
        add_to_tables(connection)
    row: Any = {"id": "beside", "owner": "local", "status": "queued", "created_at": now()}
    running.write_blocking(lambda c: runs.add(c, row))
    running.close()

    again = Database.open(tmp_path, url)
    row["id"] = "again"
    again.write_blocking(lambda c: runs.add(c, row))
    assert again.write_blocking(run_purge.count) == 2
    again.close()
    assert current(engine) == NEWER, "going forward again needs no migration"


def test_a_database_that_a_newer_release_has_changed_is_refused(
    url: str | None, engine: Engine, tmp_path: Path
) -> None:
    with engine.begin() as connection:
        add_to_tables(connection)
        declare_compatible(connection, NEWER, [NEWER])
    with pytest.raises(StorageFailed, match="newer version"):
        Database.open(tmp_path, url)
    with engine.begin() as connection:
        declare_compatible(connection, NEWER, [HEAD, NEWER])
        connection.execute(text("ALTER TABLE runs DROP COLUMN priority"))
    with pytest.raises(StorageFailed, match=r"runs\.priority"):
        Database.open(tmp_path, url)


@pytest.mark.slow
@pytest.mark.requirement("store:postgres")
def test_a_migration_that_waits_for_a_dump_keeps_nobody_waiting(postgres: Postgres, tmp_path: Path) -> None:
    """Each attempt gives up its place before others have queued behind it for long."""
    url = postgres.url()
    engine = create_engine(database_url(url))
    migrate(engine, "0017_audit")  # the next one adds a column to `secrets`
    migrated = threading.Event()

    def bring_up_to_date() -> None:
        Database.open(tmp_path, url).close()
        migrated.set()

    upgrade = threading.Thread(target=bring_up_to_date)
    bystander = create_engine(database_url(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as dump:
        dump.execute(text("SELECT count(*) FROM secrets"))
        upgrade.start()
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER%'"
        )
        with bystander.connect() as other:
            until(lambda: other.execute(waiting).scalar(), "the migration to wait for the table")
            assert other.execute(text("SELECT count(*) FROM secrets")).scalar() == 0, (
                "who comes later gets through"
            )
        assert not migrated.is_set()
    upgrade.join(120)
    assert migrated.is_set()
    bystander.dispose()
    engine.dispose()
