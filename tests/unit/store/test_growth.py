"""Among twenty times as many runs and workflows, lists and sums take SQLite as many instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from benchmarks._stored import fill
from sqlalchemy import Connection
from tests.support.databases import open_database

from codewords_mcp.runtime.model.run import RunStatus
from codewords_mcp.runtime.store import run_list, runs, usage, workflows
from codewords_mcp.runtime.store.database import Database

pytestmark = pytest.mark.requirement("store:among-many")


def page(connection: Connection, service_id: str | None = None, status: RunStatus | None = None) -> None:
    found = runs.page(connection, "local", service_id=service_id, status=status, before=None, limit=21)
    assert len(found) == 21


ASKED: dict[str, Callable[[Connection], Any]] = {
    "a page of runs": page,
    "a page of failed runs": lambda c: page(c, status="failed"),
    "a workflow's runs": lambda c: page(c, "other_0"),
    "a page of light rows": lambda c: run_list.rows(c, "local", limit=21, before=None, below=None),
    "a page of workflows": lambda c: workflows.page(c, "local", query="", limit=21, after=None),
    "the last runs of workflows": lambda c: run_list.last_of_each(c, "local", ["other_0", "other_1"], 10),
    "usage": lambda c: usage.sums(c, "local", by="day", since=0),
}
MORE = 1.1
"""Times the instructions of the small store: rows differ in what is empty."""


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Database]]:
    few, many = (open_database(tmp_path_factory.mktemp(name)) for name in ("few", "many"))
    with closing(few), closing(many):
        # A page of each list is in both.
        fill(few, stored=2_500, deployments=100, times=0)
        fill(many, stored=50_000, deployments=2_000, times=0)
        yield few, many


@pytest.mark.parametrize("asked", ASKED)
def test_lists_and_sums_take_no_more_among_twenty_times_as_much(
    stores: tuple[Database, Database], asked: str
) -> None:
    few, many = (database.write_blocking(instructions, ASKED[asked]) for database in stores)
    assert 0 < many <= MORE * few


def instructions(connection: Connection, ask: Callable[[Connection], Any]) -> int:
    """Instructions of SQLite's virtual machine that a call takes."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    driver: Any = connection.connection.driver_connection
    driver.set_progress_handler(step, 1)
    try:
        ask(connection)
    finally:
        driver.set_progress_handler(None, 0)
    return count
