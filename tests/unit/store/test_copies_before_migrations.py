"""The copy of a database before its migration: there is one, it can be gone back to, and it does not stay for ever."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.database_address import database_url
from codewords_mcp.runtime.store.migrations import HEAD, REVISIONS, copies, migrate

pytestmark = pytest.mark.requirement("store:copy-before")
OLD = REVISIONS[-3]


def _home_at(home: Path, revision: str) -> Path:
    """A home's database at an earlier revision, with a row that its log has and its file may lack."""
    from sqlalchemy import create_engine

    path = home / "codewords.db"
    engine = create_engine(database_url(f"sqlite:///{path}"))
    migrate(engine, revision)
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("INSERT INTO meta (name, value) VALUES ('mine', '1')")
    return path


def _copies(home: Path) -> list[str]:
    return sorted(path.name for path in home.glob("codewords.db.before-*"))


def _revision(path: Path) -> str | None:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]


def test_a_migration_leaves_one_copy_that_the_release_before_can_use(tmp_path: Path) -> None:
    path = _home_at(tmp_path, OLD)
    (tmp_path / "codewords.db.before-0002_recordings").write_bytes(b"an older copy")
    Database.open(tmp_path).close()
    assert _copies(tmp_path) == [f"codewords.db.before-{HEAD}"]
    copy = tmp_path / f"codewords.db.before-{HEAD}"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert (_revision(path), _revision(copy)) == (HEAD, OLD)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'mine'").fetchall() == [("1",)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    path.unlink()
    copy.rename(path)
    Database.open(tmp_path).close()
    assert _revision(path) == HEAD


def test_a_new_home_and_one_that_is_up_to_date_are_not_copied(tmp_path: Path) -> None:
    Database.open(tmp_path).close()
    Database.open(tmp_path).close()
    assert _copies(tmp_path) == []


def test_a_copy_goes_after_a_month_at_a_start(tmp_path: Path) -> None:
    _home_at(tmp_path, OLD)
    Database.open(tmp_path).close()
    Database.open(tmp_path).close()
    (name,) = _copies(tmp_path)
    past = (tmp_path / name).stat().st_mtime - copies.KEPT_S - 1
    os.utime(tmp_path / name, (past, past))
    Database.open(tmp_path).close()
    assert _copies(tmp_path) == []


def test_a_copy_that_cannot_be_written_stops_no_migration(tmp_path: Path) -> None:
    path = _home_at(tmp_path, OLD)
    # A folder of that name: nothing can be renamed to it.
    (tmp_path / f"codewords.db.before-{HEAD}" / "in the way").mkdir(parents=True)
    Database.open(tmp_path).close()
    assert _revision(path) == HEAD
    assert not list(tmp_path.glob("*.part"))
