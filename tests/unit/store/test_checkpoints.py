"""SQLite's log goes to the database file beside the writes."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.support.waiting import until

from codewords_mcp.runtime.store import checkpoints, local_file
from codewords_mcp.runtime.store.database import Database

pytestmark = pytest.mark.requirement("store:checkpoints")


def note(connection: Connection, number: int) -> None:
    """Write something that can be counted."""
    if not number:
        connection.exec_driver_sql("CREATE TABLE numbers (number INTEGER)")
    connection.exec_driver_sql("INSERT INTO numbers VALUES (?)", (number,))


def in_the_file(home: Path, copy: Path) -> int:
    """Count the rows in a copy of the database without its log."""
    # By another process: to close the file here would give up the locks that SQLite has on it.
    subprocess.run(["cp", home / local_file.NAME, copy], check=True)
    with closing(sqlite3.connect(copy)) as connection:
        try:
            return connection.execute("SELECT count(*) FROM numbers").fetchone()[0]
        except sqlite3.DatabaseError:  # no such table yet, or copied in the midst of a checkpoint
            return 0


def comes_into_the_file(database: Database, home: Path, count: int) -> None:
    """Write, until a copy of the file has that much."""

    def one_more() -> bool:
        database.write_blocking(note, 1)
        return in_the_file(home, home / "copy") >= count

    until(one_more, "a checkpoint")


def test_what_is_written_comes_into_the_file_while_writes_go_on(database: Database, tmp_path: Path) -> None:
    database.write_blocking(note, 0)
    comes_into_the_file(database, tmp_path, checkpoints.COMMITS)


def test_a_reader_of_what_was_keeps_no_write_waiting(database: Database, tmp_path: Path) -> None:
    database.write_blocking(note, 0)
    with closing(sqlite3.connect(tmp_path / local_file.NAME, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM numbers").fetchone() == (1,)
        for number in range(1, 3 * checkpoints.COMMITS):
            database.write_blocking(note, number)
        assert reader.execute("SELECT count(*) FROM numbers").fetchone() == (1,)
    comes_into_the_file(database, tmp_path, 3 * checkpoints.COMMITS)


def test_writes_without_a_gap_keep_the_log_short(database: Database, tmp_path: Path) -> None:
    database.write_blocking(note, 0)
    for _ in range(3 * checkpoints.FALLBACK_PAGES):
        database.write_blocking(note, 1)
    log = tmp_path / f"{local_file.NAME}-wal"
    assert log.stat().st_size < 2 * checkpoints.FALLBACK_PAGES * 4096


def test_a_closed_database_has_all_of_it_in_the_file_and_no_log(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    for number in range(checkpoints.COMMITS + 1):
        database.write_blocking(note, number)
    database.close()
    assert in_the_file(tmp_path, tmp_path / "copy") == checkpoints.COMMITS + 1
    assert not (tmp_path / f"{local_file.NAME}-wal").exists()
