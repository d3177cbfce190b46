"""Rows of sign-ins that go on, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.support.databases import open_database

from codewords_mcp.runtime.store import mcp_sign_ins as rows
from codewords_mcp.runtime.store.database import Database

pytestmark = pytest.mark.requirement("mcp-broker:sign-in-anywhere")


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    opened = open_database(tmp_path, url)
    yield opened
    opened.close()


def row(identity: str) -> rows.SignInRow:
    return rows.SignInRow(identity, "notes", "/connect/x", b"sealed")


def add(database: Database, owner: str, identity: str, at: int, expires_at: int) -> None:
    def store(connection: Connection) -> None:
        rows.add(connection, owner, row(identity), at, expires_at=expires_at)

    database.write_blocking(store)


def test_a_sign_in_is_taken_once_by_its_owner_while_it_goes_on(database: Database) -> None:
    add(database, "ada", "one", 1, 100)
    assert database.write_blocking(rows.take, "eve", "one", 2) is None
    assert database.write_blocking(rows.take, "ada", "another", 2) is None
    assert database.write_blocking(rows.take, "ada", "one", 100) is None
    assert database.write_blocking(rows.take, "ada", "one", 99) == row("one")
    assert database.write_blocking(rows.take, "ada", "one", 99) is None


def test_what_expired_goes_and_beyond_the_limit_the_oldest(database: Database) -> None:
    add(database, "ada", "expired", 1, 10)
    add(database, "eve", "hers", 1, 10_000)
    for number in range(rows.MAX_SIGN_INS + 1):
        add(database, "ada", f"{number}", 20, 1_000 + number)
    assert database.write_blocking(rows.take, "ada", "expired", 5) is None
    assert database.write_blocking(rows.take, "ada", "0", 20) is None
    assert database.write_blocking(rows.take, "ada", "1", 20) == row("1")
    assert database.write_blocking(rows.take, "eve", "hers", 20) == row("hers")
