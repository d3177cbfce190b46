"""Among many runs on PostgreSQL: what callers wait for reads as many rows as it gives, whatever the statistics are of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, text, update
from tests.support.databases import open_database
from tests.support.postgres import Postgres

from codewords_mcp.runtime.model.limits import Limit, LimitScope
from codewords_mcp.runtime.store import (
    executors,
    held_writes,
    model_usage,
    recovery,
    run_chain,
    run_list,
    runs,
    slots,
    usage,
)
from codewords_mcp.runtime.store import (
    workflows as workflow_rows,
)
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.tables import runs as run_rows
from codewords_mcp.runtime.store.usage_tables import COUNTERS
from codewords_mcp.runtime.store.usage_tables import model_usage as model_usage_rows

pytestmark = pytest.mark.requirement("store:among-many")

MANY = 20_000
READ_AT_MOST = 300
PLACE = LimitScope("ada", "", "busy", (Limit("caller", "ada", 100, 1000),))


def page(connection: Connection, **more: Any) -> list[Any]:
    asked: dict[str, Any] = {"service_id": None, "status": None, "before": None, "limit": 21} | more
    found = runs.page(connection, "ada", **asked)
    assert len(found) == 21
    return found


def light(connection: Connection) -> None:
    found = run_list.rows(connection, "ada", limit=21, before=(MANY // 2, "x"), below=None)
    assert len(found) == 21


ASKED: dict[str, Callable[[Connection], Any]] = {
    "the first page": page,
    "a page from the middle": lambda c: page(c, before=(MANY // 2, "x")),
    "a workflow's page": lambda c: page(c, service_id="busy", before=(MANY // 2, "x")),
    "a page by status": lambda c: page(c, status="failed", before=(MANY // 2, "x")),
    "a page of light rows": light,
    "the last runs of listed workflows": lambda c: run_list.last_of_each(c, "ada", ["busy", "idle"], 10),
    "an idempotency key": lambda c: runs.find_idempotent(c, "ada", "busy", "none"),
    "who is ahead": lambda c: slots.are_ahead(c, PLACE),
    "whether there is a slot": lambda c: slots.exhausted_limit(c, PLACE),
    "who holds runs": executors.holders,
    "what a process holds": lambda c: executors.runs_of(c, "somebody"),
    "what nobody has": recovery.undelivered,
    "descendants that go on": lambda c: run_chain.unfinished_descendants(c, "5"),
    "the run that goes on with one": lambda c: runs.find_resumed(c, "5"),
    "what may add to a list": lambda c: held_writes.unfinished_run(c, "5"),
    "what was used": lambda c: usage.sums(c, "ada", by="workflow", since=0),
    "what models cost": lambda c: model_usage.totals(c, "model", owner="ada", since="", limit=100),
    "a page of workflows": lambda c: workflow_rows.page(c, "ada", query="", limit=21, after=None),
    "a later page of workflows": lambda c: workflow_rows.page(c, "ada", query="", limit=21, after=(500, "5")),
    "what is spent": lambda c: model_usage.spent(c, service_id="busy"),
}


@pytest.fixture(scope="module", params=["not analyzed", "analyzed", "analyzed before they were summed"])
def many(
    request: pytest.FixtureRequest, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    database = open_database(tmp_path_factory.mktemp("home"), postgres.migrated_url())
    database.write_blocking(lambda c: c.execute(text("ALTER TABLE runs SET (autovacuum_enabled = off)")))
    database.write_blocking(_fill)
    if request.param == "analyzed before they were summed":
        database.write_blocking(lambda c: _mark(c, None))
        database.write_blocking(lambda c: c.execute(text("ANALYZE")))
        database.write_blocking(lambda c: _mark(c, True))
    elif request.param == "analyzed":
        database.write_blocking(lambda c: c.execute(text("ANALYZE")))
    yield database
    database.close()


def _fill(connection: Connection) -> None:
    connection.execute(
        text(
            "INSERT INTO runs (id, owner, service_id, status, created_at, response_truncated, attempts, steps, usage, timings,"
            " background, retries, in_queue, deliveries, depth, priority, cancel_asked, summed) SELECT n, 'ada', 'busy',"
            " CASE n % 10 WHEN 0 THEN 'failed' ELSE 'succeeded' END, n, false, '[]', '[]', '{}', '{}', true, 0, false, 1, 0,"
            f" 50, false, true FROM generate_series(1, {MANY}) AS n"
        )
    )
    connection.execute(
        text(
            "INSERT INTO workflows (id, owner, name, description, public, created_at, updated_at, active_version)"
            " SELECT n, 'ada', n, '', false, n, n, 1 FROM generate_series(1, 2000) AS n"
        )
    )
    calls = model_usage.UsageAccount("2026-01-01", "ada", "busy", "", "1", False, "openai", "gpt-4o")
    connection.execute(
        insert(model_usage_rows),
        [
            dict.fromkeys(COUNTERS, 1) | calls._asdict() | {"id": str(n), "run_id": str(n), "summed": True}
            for n in range(MANY)
        ],
    )


def _mark(connection: Connection, summed: bool | None) -> None:
    for table in (run_rows, model_usage_rows):
        connection.execute(update(table).values(summed=summed))


@pytest.mark.parametrize("asked", ASKED)
def test_what_is_asked_among_many_runs_reads_no_more_than_it_needs(many: Database, asked: str) -> None:
    plans: list[dict[str, Any]] = []

    def explain(connection: Connection) -> None:
        said: list[tuple[str, Any]] = []

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            said.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", note)
        ASKED[asked](connection)
        event.remove(connection, "before_cursor_execute", note)
        cursor: Any = connection.connection.cursor()
        for statement, parameters in said:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            plans.append(cursor.fetchone()[0][0]["Plan"])

    many.write_blocking(explain)
    assert plans
    assert max(map(_read, plans)) <= READ_AT_MOST, plans


def _read(plan: dict[str, Any]) -> int:
    """Rows that the widest part of a plan went through."""
    gone_through = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    below: list[dict[str, Any]] = plan.get("Plans", [])
    return max([gone_through * plan["Actual Loops"], *map(_read, below)])
