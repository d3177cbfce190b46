"""The end of a run counts once, when it is committed, whichever way it came about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.support.databases import open_database

from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.model.run_state import to_finished
from codewords_mcp.runtime.store import recovery, runs
from codewords_mcp.runtime.store.database import Database

pytestmark = pytest.mark.requirement("metrics:runs")
ROW: RunColumns = {
    "id": "r1", "owner": "local", "service_id": "report_1", "status": "running", "created_at": 1_000_000, "executor": "e1",
    "attempts": [{"number": 1, "started_at": 1_500_000, "ended_at": None, "outcome": None}],
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").migrated_url()
    opened = open_database(tmp_path, url)
    yield opened
    opened.close()


def counted(database: Database, status: str) -> float:
    return database.measures.runs.value("report_1", status)


def test_a_run_that_ends_twice_counts_once(database: Database) -> None:
    database.write_blocking(runs.add, ROW)
    assert counted(database, "succeeded") == 0
    end = to_finished("succeeded", None, 3_000_000, ROW.get("attempts"))
    assert database.write_blocking(runs.change, "r1", end, only_from=("running",), holder="e1")
    assert not database.write_blocking(runs.change, "r1", end, only_from=("running",), holder="e1")
    assert not database.write_blocking(runs.change, "r1", end, holder="e2")
    assert counted(database, "succeeded") == 1
    assert database.measures.workflow_seconds.value("report_1") == 2
    assert database.measures.run_wait.count("foreground") == 1


def test_an_end_that_is_not_committed_does_not_count(database: Database) -> None:
    database.write_blocking(runs.add, ROW)

    def end_and_fail(connection: Connection) -> None:
        runs.change(connection, "r1", to_finished("failed", None, 3_000_000))
        raise LookupError

    with suppress(LookupError):
        database.write_blocking(end_and_fail)
    assert counted(database, "failed") == 0


def test_a_row_that_is_written_at_its_end_counts(database: Database) -> None:
    ended: RunColumns = {**ROW, **to_finished("timed_out", None, 2_000_000)}
    database.write_blocking(runs.add, ended)
    assert counted(database, "timed_out") == 1


def test_a_request_that_never_said_what_it_runs_is_no_run(database: Database) -> None:
    row: RunColumns = {"id": "r2", "owner": "local", "status": "provisioned", "created_at": 1}
    database.write_blocking(runs.add, row)
    database.write_blocking(runs.change, "r2", to_finished("cancelled", None, 2))
    assert "".join(database.measures.runs.lines()).count("\n") == 2


def test_a_run_that_a_crash_left_counts_as_interrupted_at_the_next_start(database: Database) -> None:
    database.write_blocking(runs.add, ROW)
    if not database.shared:
        database.write_blocking(recovery.abandon)
        assert counted(database, "interrupted") == 1
