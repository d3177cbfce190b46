"""SQL of people and models over their own rows, and what hostile SQL gets."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from sqlalchemy import Connection, insert
from tests.support.databases import open_database

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.model.run_filter import RunTrigger, trigger_of
from codewords_mcp.runtime.model.run_query import QueryResult
from codewords_mcp.runtime.sandboxes.landlock.workers import confined_command
from codewords_mcp.runtime.store import query_worker
from codewords_mcp.runtime.store import runs as run_rows
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.query_copy import copy_rows
from codewords_mcp.runtime.store.query_process import RunQueries
from codewords_mcp.runtime.store.query_views import VIEWS, describe_views
from codewords_mcp.runtime.store.tables import metadata, run_traces, schedules, secrets, webhooks, workflows
from codewords_mcp.runtime.store.usage_tables import COUNTERS, model_usage

pytestmark = pytest.mark.anyio

ANN, BOB = "ann", "bob's"
NOON = 1_800_000_000_000_000
SECRET = "sealed-value-of-a-secret"


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    opened = open_database(tmp_path, url)
    opened.write_blocking(_fill)
    yield opened
    opened.close()


def _fill(connection: Connection) -> None:
    for owner in (ANN, BOB):
        flow = f"flow_{owner[:3]}"
        _workflow(connection, owner, flow)
        for number in range(4):
            _run(connection, owner, flow, number)
        connection.execute(
            insert(secrets).values(
                owner=owner, name="TOKEN", key_id="k", ciphertext=SECRET.encode(), created_at=1, updated_at=1
            )
        )
        _schedule(connection, owner, flow)
        hook = {
            "id": f"wh_{owner}",
            "endpoint": f"ep_{owner}",
            "owner": owner,
            "kind": "hub",
            "service_id": flow,
            "path": "/",
        }
        connection.execute(
            insert(webhooks).values(hook | {"name": "pushes", "filters": {}, "created_at": NOON})
        )


def _workflow(connection: Connection, owner: str, flow: str) -> None:
    connection.execute(
        insert(workflows).values(
            id=flow, owner=owner, name=f"Flow of {owner}", description="", public=False, created_at=1, updated_at=1,
            active_version=1,
        )
    )  # fmt: skip


def _run(connection: Connection, owner: str, flow: str, number: int, **marks: Any) -> None:
    run_id = f"{owner}-{number}"
    values = cast(
        "RunColumns",
        {
            "id": run_id, "owner": owner, "service_id": flow, "version": 1, "status": "failed" if number == 3 else "succeeded",
            "created_at": NOON + number * 60_000_001, "started_at": NOON + number * 60_000_001 + 500_000,
            "completed_at": NOON + number * 60_000_001 + 500_000 + (number + 1) * 1_000_000,
            "schedule_id": "sch" if number == 1 else None, "response_content": f'{{"total": {number}}}',
            "error": {"code": "workflow_answered_error", "message": "answered 500", "origin": "service"} if number == 3 else None,
            "input": {"method": "POST", "path": "/", "content": f'{{"n": {number}, "of": "{owner}"}}', "bytes": 9},
            **marks,
        },
    )  # fmt: skip
    run_rows.add(connection, values)
    call = [1, "egress", "GET", "api.example.com/v1", "sent", 20.0, 145.5, 200, 0, 512, "", "", None]
    body = zlib.compress(json.dumps([[1, NOON, {}, [call], [], "", True]]).encode())
    connection.execute(insert(run_traces).values(run_id=run_id, body=body))
    for nested in (False, True):
        counts = dict.fromkeys(COUNTERS, 0) | {"calls": 1, "cost": 2_000_000_000, "input_tokens": 10}
        row = {
            "id": f"{run_id}{nested}",
            "day": "2027-01-15",
            "owner": owner,
            "service_id": flow,
            "key_id": "",
            "run_id": run_id,
        }
        connection.execute(
            insert(model_usage).values(
                row | counts | {"nested": nested, "provider": "openai", "model": "gpt-x"}
            )
        )


def _schedule(connection: Connection, owner: str, flow: str) -> None:
    connection.execute(
        insert(schedules).values(
            id=f"sch_{owner}", owner=owner, service_id=flow, name="nightly", method="POST", path="/", input={}, cron="0 0 * * *",
            timezone="UTC", catch_up="latest", overlap="skip", jitter=0, paused=False, created_at=NOON, missed=0, held_back=0,
            note="", last_run_id=f"{owner}-1",
        )
    )  # fmt: skip


async def ask(database: Database, sql: str, owner: str = ANN, rows: int = 100, **more: Any) -> QueryResult:
    return await RunQueries(database, confined_command, **more).query(owner, sql, rows)


@pytest.mark.requirement("runs:sql")
async def test_each_view_has_its_documented_columns_and_the_owners_rows_only(database: Database) -> None:
    for view, number in zip(VIEWS, (4, 4, 4, 2), strict=True):
        found = await ask(database, f"SELECT * FROM {view.name}")
        assert found.columns == list(view.columns), view.name
        assert len(found.rows) == number
        assert "bob" not in json.dumps(found.rows)
        counted = await ask(database, f"SELECT count(*) FROM {view.name}", owner=BOB)
        assert counted.rows == [[number]]
        assert view.describe() in describe_views()


@pytest.mark.requirement("runs:sql")
async def test_questions_are_answered_by_sql(database: Database) -> None:
    first = await ask(
        database,
        "SELECT id, workflow, started_by, created_at, seconds, queued_seconds, cost_usd, error_code, json_extract(input, '$.n')"
        " FROM runs WHERE created_at >= datetime('2027-01-15 08:00:00', '+1 minute') ORDER BY created_at LIMIT 1",
    )
    assert first.rows == [
        ["ann-1", "Flow of ann", "schedule", "2027-01-15 08:01:00.000001", 2.0, 0.5, 0.002, None, 1]
    ]
    summed = await ask(
        database,
        "WITH costs AS (SELECT run_id, sum(cost_usd) AS usd FROM model_calls GROUP BY 1)"
        " SELECT r.status, count(*), percentile(r.seconds, 50), round(sum(c.usd), 6), sum(json_extract(r.result, '$.total'))"
        " FROM runs r JOIN costs c ON c.run_id = r.id GROUP BY 1 ORDER BY 1",
    )
    assert summed.rows == [["failed", 1, 4.0, 0.002, 3], ["succeeded", 3, 2.0, 0.006, 3]]
    calls = await ask(
        database, "SELECT target, count(*), avg(seconds), max(http_status) FROM calls GROUP BY 1"
    )
    assert calls.rows == [["api.example.com/v1", 4, 0.1255, 200]]
    triggers = await ask(database, "SELECT kind, what, last_status FROM triggers ORDER BY kind")
    assert triggers.rows == [["schedule", "0 0 * * *", "succeeded"], ["webhook", "hub", None]]


@pytest.mark.requirement("runs:sql")
async def test_an_answer_is_cut_and_says_so(database: Database) -> None:
    found = await ask(database, "SELECT id FROM runs ORDER BY id", rows=3)
    assert ([row[0] for row in found.rows], found.more) == (["ann-0", "ann-1", "ann-2"], True)
    wide = await ask(database, "SELECT printf('%.*c', 100000, 'x') AS text FROM runs")
    assert len(wide.rows[0][0]) < 5000


OTHERS = [
    "SELECT name, ciphertext FROM secrets",
    "SELECT count(*) FROM secrets",
    "SELECT rowid FROM secrets",
    "SELECT * FROM main.runs",
    "SELECT count(*) FROM main.runs",
    "SELECT owner FROM runs",
    "SELECT (SELECT count(*) FROM main.runs) FROM runs",
    "SELECT * FROM (SELECT * FROM secrets) AS runs",
    "WITH runs AS (SELECT * FROM secrets) SELECT * FROM runs",
    "WITH runs AS (SELECT owner FROM main.runs) SELECT * FROM runs",
    "WITH RECURSIVE runs(a) AS (SELECT ciphertext FROM secrets UNION ALL SELECT a FROM runs LIMIT 3) SELECT * FROM runs",
    "SELECT id FROM runs UNION ALL SELECT ciphertext FROM secrets",
    "SELECT id FROM runs WHERE EXISTS (SELECT 1 FROM secrets WHERE owner = 'bob')",
    "SELECT * FROM runs JOIN model_usage ON 1",
    "SELECT * FROM runs NATURAL JOIN keys",
    "SELECT * FROM sqlite_schema",
    "SELECT * FROM sqlite_master",
    "SELECT sql FROM temp.sqlite_master",
    "SELECT sql FROM sqlite_temp_schema",
    "SELECT count(*) FROM sqlite_temp_schema",
    "SELECT * FROM pragma_table_list",
    "SELECT count(*) FROM pragma_database_list",
    "SELECT * FROM pragma_table_info('secrets')",
    "SELECT * FROM dbstat",
    "SELECT * FROM sqlite_dbpage",
    "SELECT load_extension('/tmp/x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('/tmp/x', 'y')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT randomblob(1000000000)",
    "SELECT zeroblob(1000000000)",
    "ATTACH '/tmp/x.db' AS x",
    "DETACH main",
    "PRAGMA writable_schema = 1",
    "VACUUM INTO '/tmp/x.db'",
    "EXPLAIN SELECT * FROM runs",
    "EXPLAIN QUERY PLAN SELECT * FROM runs",
    "DELETE FROM runs",
    "INSERT INTO runs VALUES (1)",
    "UPDATE runs SET status = 'failed'",
    "WITH x AS (SELECT 1) DELETE FROM main.runs",
    "CREATE TABLE x (a)",
    "DROP VIEW runs",
    "BEGIN",
    "SELECT 1; DELETE FROM secrets",
    "SELECT 1; SELECT * FROM secrets",
    # As one would escape on PostgreSQL.
    "SET ROLE postgres",
    "RESET ROLE",
    "SELECT set_config('role', 'postgres', false)",
    "SELECT set_config('role', 'none', true), query_to_xml('SELECT * FROM secrets', true, true, '')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT * FROM pg_authid",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM public.secrets",
    "SELECT pg_sleep(100)",
    "SELECT dblink('', 'SELECT 1')",
    "COPY runs TO PROGRAM 'id'",
    "TABLE secrets",
    "DO $$ BEGIN END $$",
    "",
    "-- SELECT",
    "/* SELECT */",
    "'; SELECT * FROM secrets --",
]  # fmt: skip


@pytest.mark.requirement("runs:sql-hostile")
async def test_nothing_but_the_views_is_read_whatever_the_sql_is(database: Database) -> None:
    names = set(metadata.tables) - {view.name for view in VIEWS}
    tables = [f"SELECT * FROM {name}" for name in names]
    forged = [f"WITH runs AS (SELECT 1 FROM main.{name}) SELECT * FROM runs" for name in metadata.tables]
    queries = RunQueries(database, confined_command)
    for sql in [*OTHERS, *tables, *forged]:
        # In this process: starting hundreds would show no more.
        prepared = await queries.prepare(ANN, sql, 100)
        answer = query_worker.run(prepared.request, prepared.copy)
        assert set(answer) == {"error"}, sql
        assert SECRET not in answer["error"]
    with pytest.raises(InvalidInput, match="and nothing else") as refused:
        await ask(database, "SELECT load_extension('x') FROM runs")
    assert refused.value.hint == describe_views()


@pytest.mark.requirement("runs:sql-hostile")
async def test_the_owner_is_a_value_and_never_sql(database: Database) -> None:
    for owner in ("x' OR '1'='1", "' UNION SELECT 1 --", "nobody"):
        assert (await ask(database, "SELECT count(*) FROM runs", owner=owner)).rows == [[0]]


ENDLESS = [
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t ORDER BY n DESC",
    "WITH RECURSIVE t(s) AS (SELECT printf('%.*c', 1000000, 'x') UNION ALL SELECT s || 'y' FROM t) SELECT s FROM t ORDER BY s",
    "SELECT count(*) FROM runs a, runs b, runs c, runs d, runs e, runs f, runs g, runs h, runs i, runs j, runs k, runs l, runs m",
    "SELECT printf('%.*c', 200000, 'a') LIKE '%a%a%a%a%a%a%a%a%b'",
    "SELECT group_concat(printf('%.*c', 1000000, 'x')) FROM runs a, runs b, runs c, runs d",
    "SELECT printf('%.*c', 2000000000, 'x')",
    "SELECT hex(hex(hex(hex(hex(hex(printf('%.*c', 1000000, 'x')))))))",
    f"SELECT {'(' * 500}1{')' * 500}",
    "SELECT " + " UNION ALL SELECT ".join(["1"] * 600),
    "SELECT '" + "x" * 30_000 + "'",
]  # fmt: skip


@pytest.mark.requirement("runs:sql-hostile")
@pytest.mark.parametrize("sql", ENDLESS, ids=lambda sql: sql[:40])
@pytest.mark.slow
async def test_a_query_without_end_is_ended(tmp_path: Path, sql: str) -> None:
    database = open_database(tmp_path)
    database.write_blocking(_fill)
    try:
        with suppress(InvalidInput):
            assert len(str((await ask(database, sql, seconds=0.5)).rows)) < 10_000
        assert (await ask(database, "SELECT count(*) FROM runs")).rows == [[4]]
    finally:
        database.close()


@pytest.mark.requirement("runs:sql")
def test_a_copy_holds_the_newest_rows_and_says_which_are_missing(database: Database) -> None:
    some = database.write_blocking(copy_rows, ANN, VIEWS[:1], "SELECT id FROM runs", max_rows=2)
    assert some.cut == ("runs", "model_usage")
    assert b"ann-3" in some.data
    assert b"ann-0" not in some.data
    assert b"bob" not in some.data
    assert b'"total"' not in some.data
    small = database.write_blocking(copy_rows, ANN, VIEWS[:1], "SELECT result FROM runs", max_bytes=10)
    assert small.cut == ("runs", "workflows", "model_usage")


CAUSES: list[tuple[RunTrigger, dict[str, Any]]] = [
    ("schedule", {"schedule_id": "sch_1", "trigger_kind": "schedule", "trigger_id": "sch_1"}),
    ("event", {"trigger_kind": "feed", "trigger_id": "trg_1"}),
    ("webhook", {"trigger_kind": "webhook", "trigger_id": "wh_1", "correlation_id": "whd_1"}),
    ("webhook", {"correlation_id": "whd_2"}),
    ("run", {"parent_id": "other", "correlation_id": "whd_3"}),
    ("on_failure", {"trigger_kind": "on_failure", "trigger_id": "flow_1"}),
    ("caller", {"trigger_kind": "schedule", "trigger_id": "sch_1"}),
    ("caller", {}),
]


@pytest.mark.requirement("runs:causes")
async def test_lists_their_filter_and_sql_say_the_same_cause_of_each_run(database: Database) -> None:
    owner = "causes"

    def fill(connection: Connection) -> None:
        _workflow(connection, owner, "flow_cau")
        for number, (_, marks) in enumerate(CAUSES):
            _run(connection, owner, "flow_cau", number, **({"schedule_id": None} | marks))

    database.write_blocking(fill)
    told = {row[0]: row[1] for row in (await ask(database, "SELECT id, started_by FROM runs", owner)).rows}
    expected = {f"{owner}-{number}": cause for number, (cause, _) in enumerate(CAUSES)}
    assert told == expected
    listed = await database.read(lambda connection: run_rows.page(connection, owner, limit=50, before=None))
    assert {run.id: trigger_of(run) for run in listed} == expected
    for cause in get_args(RunTrigger):
        found = await database.read(partial(run_rows.page, owner=owner, limit=50, before=None, trigger=cause))
        assert {run.id for run in found} == {run for run, other in expected.items() if other == cause}


@pytest.mark.requirement("runs:sql")
async def test_a_table_of_a_workflow_is_not_there_and_the_refusal_says_where_it_is(
    database: Database,
) -> None:
    with pytest.raises(InvalidInput, match="no such table") as refused:
        await ask(database, "SELECT * FROM orders")
    assert "`database`, path `query`" in refused.value.hint
