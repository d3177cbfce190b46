"""Limits that processes share: counted and taken under locks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any, cast

import pytest
from sqlalchemy import Connection
from tests.support.databases import open_database
from tests.support.postgres import Postgres

from codewords_mcp.errors import TooBusy
from codewords_mcp.runtime.model.limits import LimitScope, limit_scope
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.store import runs, slots
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.settings import Settings

pytestmark = pytest.mark.requirement("runs:limits", "store:postgres")
REPLICAS = 8


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    opened = open_database(tmp_path, url)
    yield opened
    opened.close()


def place(owner: str = "o", service: str = "w", key: str | None = None, **limits: Any) -> LimitScope:
    return limit_scope(Settings(**limits), owner, key, service, (None, None), nested=False)


def add(
    connection: Connection, where: LimitScope, number: object, status: str = "starting", **more: Any
) -> None:
    values: dict[str, Any] = {
        "id": f"{where.queue_name} {number}", "owner": where.owner, "key_id": where.key_id or None,
        "service_id": where.service_id, "status": status, "created_at": now(), "executor": "me",
    }  # fmt: skip
    runs.add(connection, cast("RunColumns", values | more))


@pytest.mark.parametrize(
    "limits",
    [{"key_concurrency": 3}, {"workflow_concurrency": 3}, {"concurrency": 3}, {"home_concurrency": 3}],
    ids=["key", "workflow", "caller", "home"],
)
def test_of_many_that_start_at_the_same_moment_as_many_begin_as_may(
    postgres: Postgres, tmp_path: Path, limits: dict[str, Any]
) -> None:
    database = open_database(tmp_path, postgres.migrated_url())
    together = Barrier(REPLICAS)
    where = place(**limits)

    def one(number: int) -> int:
        together.wait()
        began = 0
        for turn in range(3):

            def take(connection: Connection, turn: int = turn) -> bool:
                slots.lock(connection, where)
                if slots.exhausted_limit(connection, where) is not None:
                    return False
                add(connection, where, f"{number}/{turn}")
                return True

            began += database.write_blocking(take)
        return began

    with ThreadPoolExecutor(REPLICAS) as threads:
        assert sum(threads.map(one, range(REPLICAS))) == 3
    database.close()


def test_each_limit_counts_its_own(database: Database) -> None:
    limits = {"key_concurrency": 1, "workflow_concurrency": 2, "concurrency": 3, "home_concurrency": 4}

    def fill(connection: Connection) -> None:
        for number, where in enumerate(
            (("o", "w", "k"), ("o", "w", None), ("o", "v", None), ("p", "v", None))
        ):
            add(connection, place(*where), number)
        add(connection, place("q", "u"), "ended", "succeeded")
        add(connection, place("q", "u"), "waits", "queued")

    database.write_blocking(fill)

    def full(*where: Any, leave_out: tuple[str, ...] = ()) -> str | None:
        asked = {name: value for name, value in limits.items() if name not in leave_out}
        found = database.write_blocking(lambda c: slots.exhausted_limit(c, place(*where, **asked)))
        return found and found[0].scope

    home = ("home_concurrency",)
    assert full("o", "x", "k") == "key"
    assert full("r", "w") == "workflow"
    assert full("o", "x", "j") == "caller"
    assert full("q", "u") == "home"
    assert full("q", "u", leave_out=home) is None


def test_the_bound_of_the_line_is_counted_and_names_itself(database: Database) -> None:
    where = place(workflow_queue_limit=1, queue_limit=2)
    database.write_blocking(lambda c: slots.require_queue_capacity(c, where))
    database.write_blocking(lambda c: add(c, where, 1, "queued"))
    with pytest.raises(TooBusy) as caught:
        database.write_blocking(lambda c: slots.require_queue_capacity(c, where))
    assert caught.value.details() == {"retry_after": 5, "limit": "workflow"}
    database.write_blocking(lambda c: slots.require_queue_capacity(c, place(service="v", queue_limit=2)))


def test_runs_for_which_slots_are_free_do_not_count_as_waiting(database: Database) -> None:
    where = place(concurrency=3, queue_limit=1)

    def require() -> None:
        database.write_blocking(lambda c: slots.require_queue_capacity(c, where))

    database.write_blocking(add, where, "runs")
    for number in range(2):
        database.write_blocking(add, where, number, "queued")
        require()
    database.write_blocking(add, where, "waits", "queued")
    with pytest.raises(TooBusy, match="1 runs of this caller are waiting"):
        require()


def test_runs_alike_whose_time_has_come_are_ahead(database: Database) -> None:
    where, later = place(), now() + 60_000_000
    for number, more in enumerate(({"in_queue": False}, {"in_queue": True, "not_before": later})):
        database.write_blocking(add, where, number, "queued", **more)
    database.write_blocking(lambda c: add(c, place(service="v"), 9, "queued", in_queue=True))
    assert not database.write_blocking(lambda c: slots.are_ahead(c, where))
    database.write_blocking(lambda c: add(c, where, 5, "queued", in_queue=True, not_before=now() - 1))
    assert database.write_blocking(lambda c: slots.are_ahead(c, where))


def test_what_others_hold_is_told_under_each_limits_name(database: Database) -> None:
    for number, who in enumerate(("me", "other", "other")):
        database.write_blocking(add, place(key="k"), number, executor=who)
    held = database.write_blocking(lambda c: slots.active_elsewhere(c, "me"))
    assert held == {("key", "o/k"): 2, ("caller", "o"): 2, ("workflow", "w"): 2, ("home", ""): 2}
