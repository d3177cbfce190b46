"""Bounds of workflows' SQLite databases in time, memory and size, and processes that end in the middle of a call."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from codewords_mcp.errors import CodewordsError, InvalidInput, RunTimedOut, StorageFailed
from codewords_mcp.runtime.sandboxes.landlock.workers import confined_command
from codewords_mcp.runtime.store.workflow_databases.base import DatabaseKey, SqlCall, SqlStatement
from codewords_mcp.runtime.store.workflow_databases.sqlite import SqliteDatabases

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.requirement("services:database-bounded")]
KEY = DatabaseKey("ann", "bounded_flow")
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"


@pytest.fixture
async def databases(tmp_path: Path) -> AsyncIterator[SqliteDatabases]:
    opened = SqliteDatabases(tmp_path, confined_command, timeout=2.0, file_bytes=1 << 20)
    yield opened
    await opened.close()


def call(sql: str, *parameters: Any) -> SqlCall:
    return SqlCall((SqlStatement(sql, list(parameters)),))


async def test_a_statement_without_end_is_ended_and_leaves_nothing(databases: SqliteDatabases) -> None:
    await databases.run(KEY, call("CREATE TABLE t (x)"))
    with pytest.raises(RunTimedOut):
        await databases.run(KEY, call(ENDLESS))
    with pytest.raises(RunTimedOut):
        await databases.run(KEY, call(f"INSERT INTO t {ENDLESS}"))
    found = await databases.run(KEY, call("SELECT count(*) FROM t"))
    assert found.results[0].rows == [[0]]


async def test_a_function_that_nothing_interrupts_is_ended_by_the_alarm(databases: SqliteDatabases) -> None:
    with pytest.raises(RunTimedOut):
        await databases.run(KEY, call("SELECT instr(?, ?)", "a" * 3_000_000, "a" * 1_500_000 + "b"))
    assert (await databases.run(KEY, call("SELECT 1"))).results[0].rows == [[1]]


async def test_a_statement_has_so_much_memory(tmp_path: Path) -> None:
    databases = SqliteDatabases(tmp_path, confined_command, timeout=60)
    many = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 400) SELECT count(*) FROM (SELECT DISTINCT randomblob(3000000) FROM c)"
    with pytest.raises(InvalidInput, match="too much memory"):
        await databases.run(KEY, call(many))
    await databases.close()


async def test_the_file_has_a_size(databases: SqliteDatabases) -> None:
    await databases.run(KEY, call("CREATE TABLE t (x)"))
    with pytest.raises(StorageFailed, match="larger than"):
        for _ in range(30):
            await databases.run(KEY, call("INSERT INTO t VALUES (randomblob(100000))"))
    assert (await databases.run(KEY, call("DELETE FROM t"))).results[0].changed > 5
    await databases.run(KEY, call("INSERT INTO t VALUES (1)"))


async def test_a_process_that_is_killed_in_the_middle_changes_nothing(databases: SqliteDatabases) -> None:
    await databases.run(KEY, call("CREATE TABLE t (x)"))
    going_on = asyncio.create_task(databases.run(KEY, call(f"INSERT INTO t {ENDLESS}")))
    await asyncio.sleep(0)
    processes = databases._processes  # pyright: ignore[reportPrivateUsage]
    while not processes:
        await asyncio.sleep(0.01)
    for process in list(processes):
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(CodewordsError):
        await going_on
    assert (await databases.run(KEY, call("SELECT count(*) FROM t"))).results[0].rows == [[0]]


async def test_a_process_that_has_ended_is_started_again(databases: SqliteDatabases) -> None:
    await databases.run(KEY, call("CREATE TABLE t (x)"))
    for process in list(databases._processes):  # pyright: ignore[reportPrivateUsage]
        process.kill()
        process.wait()
    assert (await databases.run(KEY, call("SELECT count(*) FROM t"))).results[0].rows == [[0]]


async def test_one_workflow_leaves_room_for_another(databases: SqliteDatabases) -> None:
    await databases.run(KEY, call("CREATE TABLE t (x)"))
    hogs = [asyncio.create_task(databases.run(KEY, call(ENDLESS))) for _ in range(6)]
    hogs += [asyncio.create_task(databases.run(KEY, call(f"INSERT INTO t {ENDLESS}")))]
    await asyncio.sleep(0)
    other = await databases.run(DatabaseKey("bob", "other_flow"), call("SELECT 1"))
    assert other.results[0].rows == [[1]]
    assert not any(hog.done() for hog in hogs), "it did not wait for them"
    assert all(isinstance(end, RunTimedOut) for end in await asyncio.gather(*hogs, return_exceptions=True))


async def test_a_damaged_file_is_told_as_one(databases: SqliteDatabases, tmp_path: Path) -> None:
    await databases.run(KEY, call("CREATE TABLE t (x)"))
    (tmp_path / "databases" / f"{KEY.name}.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageFailed, match="damaged"):
        await databases.run(KEY, call("SELECT * FROM t"))


async def test_a_read_makes_no_file_and_files_are_the_owners_alone(
    databases: SqliteDatabases, tmp_path: Path
) -> None:
    await databases.run(KEY, call("SELECT 1"), read_only=True)
    assert not await databases.exists(KEY)
    await databases.run(KEY, call("CREATE TABLE t (x)"))
    [file] = (tmp_path / "databases").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


@pytest.mark.requirement("services:database-deleted")
async def test_the_databases_of_all_owners_go_with_the_workflow(databases: SqliteDatabases) -> None:
    other, apart = DatabaseKey("bob", KEY.workflow), DatabaseKey("ann", "bounded_flow_2")
    for key in (KEY, other, apart):
        await databases.run(key, call("CREATE TABLE t (x)"))
    assert await databases.count(KEY.workflow) == 2
    await databases.delete(KEY.workflow)
    assert [await databases.exists(key) for key in (KEY, other, apart)] == [False, False, True]
