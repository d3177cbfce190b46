"""Round trips to PostgreSQL: they bound what one primary carries, and are most of what a short call waits for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, text
from tests.support.databases import open_database
from tests.support.postgres import Postgres
from tests.support.round_trips import RoundTrips, counting_round_trips

from codewords_mcp.runtime.model.limits import Limit, LimitScope
from codewords_mcp.runtime.store import engine, executors, slots
from codewords_mcp.runtime.store.database import Database

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("store:round-trips", "store:postgres")]


@pytest.fixture
def line(postgres: Postgres) -> Iterator[RoundTrips]:
    with counting_round_trips(postgres.port) as line:
        yield line


@pytest.fixture
def database(postgres: Postgres, line: RoundTrips, tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path, postgres.migrated_url().replace(str(postgres.port), str(line.port)))
    yield opened
    opened.close()


def ask(connection: Connection) -> int:
    return connection.execute(text("SELECT 1")).scalar_one()


async def trips(line: RoundTrips, call: Callable[[], Awaitable[object]]) -> int:
    """The round trips of a call, once its connection is open and its statements are prepared, as the fifth call does."""
    for _ in range(8):
        await call()
    before = line.count
    await call()
    return line.count - before


async def test_a_read_is_one_round_trip_a_write_its_statements_and_two(
    database: Database, line: RoundTrips
) -> None:
    assert await trips(line, lambda: database.read(ask)) == 1
    assert await trips(line, lambda: database.read(lambda c: [ask(c), ask(c)])) == 2
    assert await trips(line, lambda: database.write(ask)) == 3
    assert await trips(line, lambda: database.write(lambda c: [ask(c), ask(c)])) == 4


async def test_all_locks_of_a_run_are_one_round_trip(database: Database, line: RoundTrips) -> None:
    limits = (Limit("caller", "ann", 10, 10), Limit("workflow", "w", 10, 10), Limit("home", "", 10, 10))
    scope = LimitScope("ann", "", "w", limits)
    assert await trips(line, lambda: database.write(slots.lock, scope)) == 3


async def test_a_replica_says_that_it_lives_in_one_round_trip_and_reads_who_does_in_another(
    database: Database, line: RoundTrips
) -> None:
    assert await trips(line, lambda: database.write(executors.seen, "me", "1")) == 3
    assert await trips(line, lambda: database.read(executors.alive, 15)) == 1


async def test_a_connection_is_tried_only_after_a_pause_and_made_anew_where_it_broke(
    database: Database, line: RoundTrips, postgres: Postgres
) -> None:
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url.replace(str(line.port), str(postgres.port)), autocommit=True) as other:
        assert await database.read(ask) == 1
        _break_connections(other)
        assert await database.read(ask) == 1, "it is used at once, fails, and the read is repeated"

        _use_long_ago(database)
        assert await trips_of_one(line, lambda: database.read(ask)) == 2, "tried, then used"
        assert await trips_of_one(line, lambda: database.read(ask)) == 1

        _use_long_ago(database)
        _break_connections(other)
        with database.engine.connect() as connection:
            assert ask(connection) == 1, "found broken before its use"


async def trips_of_one(line: RoundTrips, call: Callable[[], Awaitable[object]]) -> int:
    before = line.count
    await call()
    return line.count - before


def _break_connections(other: psycopg.Connection[tuple[int]]) -> None:
    ended = other.execute(
        "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).fetchall()
    assert ended


def _use_long_ago(database: Database) -> None:
    """Let the connection that is used next have been used last long ago."""
    with database.engine.connect() as connection:
        info = connection.info
    info[engine.USED_AT] -= 2 * engine.TRIED_AFTER
