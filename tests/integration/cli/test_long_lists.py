"""Lists of thousands of secrets, keys and webhooks: by pages over HTTP, whole by commands and the client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, insert
from tests.integration.cli.terminal import FEW, Shell
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime

from codewords_client import CodewordsClient
from codewords_mcp.runtime.store import tables
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

pytestmark = pytest.mark.requirement("lists:pages")

MANY = 2_500
LISTS = {"/secrets": "name", "/keys": "id", "/webhooks": "id"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRuntime]:
    with start_runtime(make_home(tmp_path_factory.mktemp("long") / "home", FEW)) as running:
        database = Database.open(running.home)
        database.write_blocking(_fill)
        database.close()
        yield running


def _fill(connection: Connection) -> None:
    at = now()
    dated: dict[str, Any] = {"owner": "local", "created_at": at}
    sealed = {"updated_at": at, "key_id": "none", "ciphertext": b"", "rule": None, "source": None}
    connection.execute(
        insert(tables.secrets), [dated | sealed | {"name": f"KEY_{n:04}"} for n in range(MANY)]
    )
    reusable = {"kind": "user", "one_time": False, "revoked": False}
    connection.execute(
        insert(tables.keys),
        [
            dated | reusable | {"id": f"key-{n}", "hash": f"{n}", "prefix": f"cw-{n}", "owner": "grace"}
            for n in range(MANY)
        ],
    )
    hook: dict[str, Any] = {"kind": "plain", "path": "/", "name": "", "filters": {}}
    connection.execute(
        insert(tables.webhooks),
        [
            dated | hook | {"id": f"wh-{n}", "endpoint": f"{n}", "service_id": f"flow_{n % 10:08}"}
            for n in range(MANY)
        ],
    )


def _walk(served: ServedRuntime, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = served.call("GET", f"{path}&cursor={cursor}" if cursor else path)
        assert len(page["items"]) <= 100
        items += page["items"]
        cursor = page["next_cursor"]
    return items


@pytest.mark.parametrize(("path", "key"), LISTS.items())
def test_a_list_is_given_by_pages_that_hold_each_item_once(
    served: ServedRuntime, path: str, key: str
) -> None:
    first = served.call("GET", path)
    assert (len(first["items"]), bool(first["next_cursor"])) == (100, True)
    items = _walk(served, f"{path}?limit=97")
    assert len({item[key] for item in items}) == len(items) >= MANY
    for wrong in ("limit=0", "limit=101", "cursor=%20", "cursor=1.", "limit=x"):
        headers = {"Authorization": served.key}
        refused = httpx.get(f"{served.url}{path}?{wrong}", headers=headers, trust_env=False)
        assert refused.status_code == 400, wrong


def test_webhooks_are_listed_of_one_workflow(served: ServedRuntime) -> None:
    items = _walk(served, "/webhooks?service_id=flow_00000007&limit=100")
    assert len(items) == MANY // 10
    assert {item["service_id"] for item in items} == {"flow_00000007"}


def test_commands_and_the_client_list_all_of_it(served: ServedRuntime) -> None:
    shell = Shell(served.home)
    for words, key in (("secrets", "name"), ("keys", "id"), ("webhooks", "id")):
        listed = shell("codewords", words, "list", "--json").json
        assert len({item[key] for item in listed}) == len(listed) >= MANY
    with CodewordsClient(served.url, served.key) as client:
        names = client.manage_secrets("list").names
    assert names == [f"KEY_{n:04}" for n in range(MANY)]
