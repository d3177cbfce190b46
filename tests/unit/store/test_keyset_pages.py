"""Pages of secrets, keys and webhooks: together they are the whole list, each row once, in its order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert
from tests.support.databases import open_database

from codewords_mcp.runtime.store import access, tables, webhooks
from codewords_mcp.runtime.store.database import Database

pytestmark = pytest.mark.requirement("lists:pages")

MANY, PIECE = 2_500, 100
Row = dict[str, Any]
ReadPage = Callable[[Connection, int, Any], list[Row]]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    home: Path = tmp_path_factory.mktemp("pages")
    opened = open_database(home, url)
    opened.write_blocking(_fill)
    yield opened
    opened.close()


def _fill(connection: Connection) -> None:
    # Seven rows of each time, so that pages end between rows that differ by their ids only.
    times = [1_000 + n // 7 for n in range(MANY)]
    own: Row = {"owner": "o"}
    secrets: list[Row] = [
        own
        | {
            "name": f"KEY_{n}",
            "key_id": "k",
            "ciphertext": b"",
            "rule": None,
            "created_at": at,
            "updated_at": at,
        }
        for n, at in enumerate(times)
    ]
    keys: list[Row] = [
        own
        | {
            "id": f"k{n}", "hash": f"{n}", "prefix": "cwk", "kind": "user", "one_time": False, "created_at": at,
            "revoked": False,
        }
        for n, at in enumerate(times)
    ]  # fmt: skip
    hooks: list[Row] = [
        own
        | {
            "id": f"w{n}", "endpoint": f"e{n}", "kind": "plain", "service_id": f"flow_{n % 2}", "path": "/", "name": "",
            "filters": {}, "created_at": at,
        }
        for n, at in enumerate(times)
    ]  # fmt: skip
    foreign = [secrets[0] | {"owner": "x"}, hooks[0] | {"owner": "x", "id": "wx"}]
    connection.execute(insert(tables.secrets), [*secrets, foreign[0]])
    connection.execute(insert(tables.keys), keys)
    connection.execute(insert(tables.webhooks), [*hooks, foreign[1]])


def _secrets(connection: Connection, limit: int, last: Any) -> list[Row]:
    after = last and last["name"]
    return [dict(row) for row in access.list_secrets(connection, "o", limit, after)]


def _keys(connection: Connection, limit: int, last: Any) -> list[Row]:
    after = last and (last["created_at"], last["id"])
    return [dict(row) for row in access.list_keys(connection, limit, after)]


def _webhooks(connection: Connection, limit: int, last: Any) -> list[Row]:
    after = last and (last["created_at"], last["id"])
    return [dict(row) for row in webhooks.of_owner(connection, "o", limit=limit, after=after)]


@pytest.mark.parametrize("read", [_secrets, _keys, _webhooks], ids=["secrets", "keys", "webhooks"])
def test_pages_are_the_whole_list_each_row_once(database: Database, read: ReadPage) -> None:
    whole = database.write_blocking(lambda connection: read(connection, MANY * 2, None))
    paged: list[Row] = []

    def following(connection: Connection) -> list[Row]:
        return read(connection, PIECE, paged[-1] if paged else None)

    while page := database.write_blocking(following):
        assert len(page) <= PIECE
        paged += page

    assert len(whole) == MANY
    assert paged == whole


def test_webhooks_of_one_workflow_are_those_of_it(database: Database) -> None:
    found = database.write_blocking(lambda c: webhooks.of_owner(c, "o", service_id="flow_1", limit=MANY))
    assert len(found) == MANY // 2
    assert {row["service_id"] for row in found} == {"flow_1"}
