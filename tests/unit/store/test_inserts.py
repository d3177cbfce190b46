"""Processes of one database that write the same row, or count on the same key, at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, text
from tests.support.databases import open_database
from tests.support.postgres import Postgres
from tests.support.waiting import until

from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.services import redis_coordinator
from codewords_mcp.runtime.services.redis_coordinator import NAMESPACE, CoordinatorInput
from codewords_mcp.runtime.store import access, budgets, service_values
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.rows import SecretRow

T = TypeVar("T")


@pytest.fixture
def database(postgres: Postgres, tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path, postgres.migrated_url())
    yield opened
    opened.close()


def beside(database: Database, first: Callable[[Connection], object], second: Callable[[], T]) -> T:
    """The result of `second`, which meets the open transaction of `first`: that ends once `second` waits for it."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    def waits() -> bool:
        with database.engine.connect() as connection:
            return connection.execute(waiting).scalar_one() > 0

    with ThreadPoolExecutor(1) as threads:
        with database.engine.begin() as connection:
            first(connection)
            other = threads.submit(second)
            until(waits)
        return other.result()


def secret(ciphertext: bytes, at: int) -> SecretRow:
    return {
        "owner": "ada", "name": "KEY", "key_id": "k", "ciphertext": ciphertext, "rule": None, "source": None,
        "created_at": at, "updated_at": at,
    }  # fmt: skip


@pytest.mark.requirement("store:postgres")
def test_of_two_that_set_a_new_secret_at_once_the_later_one_counts(database: Database) -> None:
    beside(
        database,
        lambda c: access.put_secret(c, secret(b"first", 1)),
        lambda: database.write_blocking(access.put_secret, secret(b"second", 2)),
    )
    (found,) = database.write_blocking(access.list_secrets, "ada")
    assert (found["ciphertext"], found["created_at"], found["updated_at"]) == (b"second", 1, 2)


@pytest.mark.requirement("store:postgres")
def test_of_two_that_set_a_new_budget_at_once_the_later_one_counts(database: Database) -> None:
    beside(
        database,
        lambda c: budgets.put(c, "home", "", "day", 10, 1),
        lambda: database.write_blocking(budgets.put, "home", "", "day", 20, 2),
    )
    (found,) = database.write_blocking(budgets.every)
    assert (found["amount"], found["updated_at"]) == (20, 2)


@pytest.mark.requirement("services:values", "store:postgres")
def test_two_processes_that_count_on_a_new_key_at_once_both_count(database: Database) -> None:
    def first(connection: Connection) -> None:
        service_values.lock(connection, "ada", NAMESPACE, "n")
        service_values.put(connection, "ada", NAMESPACE, "n", "1", None)

    dependencies = SimpleNamespace(database=database)
    context: Any = SimpleNamespace(caller=Caller("ada", "user"), dependencies=dependencies)
    params = CoordinatorInput(action="incr", key="n")
    second = beside(database, first, lambda: asyncio.run(redis_coordinator.call(context, params)))
    assert second.value == 2
    read = CoordinatorInput(action="get", key="n")
    assert asyncio.run(redis_coordinator.call(context, read)).value == 2
