"""Databases of workflows: their SQL, migrations and bounds, and hostile SQL, on SQLite files and schemas of PostgreSQL."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home
from tests.support.waiting import until

from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.store.workflow_databases.base import DatabaseKey
from codewords_mcp.settings import Settings

pytestmark = pytest.mark.requirement("services:database")
HABITS = "CREATE TABLE habits (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, score INTEGER NOT NULL DEFAULT 0)"
BOTH = ("sqlite", "postgres")


@pytest.fixture(scope="module", params=BOTH)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def door(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    url = request.getfixturevalue("postgres").migrated_url() if kind == "postgres" else None
    home = make_home(tmp_path_factory.mktemp(kind) / "home")
    settings = Settings.model_validate({"home": home, "port": 0, "api_key": ADMIN_KEY, "database_url": url})
    with Door(settings) as opened:
        yield opened


class Flow:
    """A run of a workflow, as its program calls the service."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def post(self, path: str = "", **data: Any) -> httpx.Response:
        return self.http.post(f"/run/database/{path}", json=data)

    def ask(self, path: str = "", **data: Any) -> Any:
        answer = self.post(path, **data)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def rows(self, sql: str, parameters: Any = ()) -> Any:
        return self.ask(sql=sql, parameters=parameters)["rows"]

    def refusal(self, path: str = "", **data: Any) -> tuple[str, str]:
        answer = self.post(path, **data)
        assert answer.status_code >= 400, answer.text
        return answer.json()["error"]["code"], answer.json()["error"]["message"]


@pytest.fixture
def flows(door: Door) -> Iterator[Any]:
    """`flows(workflow, owner)` is a run of a workflow."""
    with ExitStack() as stack:

        def flow(workflow: str | None = None, owner: str = "local") -> Flow:
            run = Caller(owner, "run", None, str(uuid.uuid4()))
            inside = stack.enter_context(door.sandbox(run, workflow or f"flow_{uuid.uuid4().hex[:8]}"))
            return Flow(stack.enter_context(inside.client()))

        yield flow


def test_rows_outlive_a_run_and_values_keep_their_types(flows: Any) -> None:
    flow = flows("typed_flow")
    flow.ask(migrate=["CREATE TABLE typed (t TEXT, i BIGINT, f DOUBLE PRECISION, n TEXT)"])
    sent = ["ünï 'quoted' -- ; ?", 2**53 + 1, 1.5, None]
    added = flow.ask(sql="INSERT INTO typed VALUES (?, ?, ?, ?)", parameters=sent)
    assert (added["changed"], added["rows"]) == (1, [])
    flow.ask(
        sql="INSERT INTO typed VALUES (:t, :i, :f, :n)", parameters={"t": "b", "i": 1, "f": 0.5, "n": None}
    )
    later = flows("typed_flow")
    assert later.rows("SELECT t, i, f, n FROM typed WHERE i > ? ORDER BY i DESC", [0]) == [
        dict(zip("tifn", sent, strict=True)), {"t": "b", "i": 1, "f": 0.5, "n": None},
    ]  # fmt: skip
    again = later.ask("query", sql="SELECT count(*) AS times FROM typed WHERE t = :t", parameters={"t": "b"})
    assert (again["rows"], again["columns"]) == ([{"times": 1}], ["times"])
    returned = flow.rows("INSERT INTO typed (t, i) VALUES (?, ?) RETURNING t AS text, i", ["c", 3])
    assert returned == [{"text": "c", "i": 3}]


def test_bytes_come_and_go_as_base64(flows: Any, kind: str) -> None:
    flow = flows()
    flow.ask(migrate=[f"CREATE TABLE blobs (b {'BYTEA' if kind == 'postgres' else 'BLOB'})"])
    flow.ask(sql="INSERT INTO blobs VALUES (?)", parameters=[{"base64": "AAH/"}])
    assert flow.rows("SELECT b FROM blobs") == [{"b": {"base64": "AAH/"}}]


def test_several_statements_are_one_transaction(flows: Any) -> None:
    flow = flows()
    insert = "INSERT INTO habits (id, name) VALUES (?, ?)"
    both = flow.ask(
        migrate=[HABITS],
        statements=[
            {"sql": insert, "parameters": [1, "run"]},
            {"sql": "SELECT name FROM habits WHERE id = :id", "parameters": {"id": 1}},
        ],
    )
    assert both["migrated"] == 1
    assert [result["rows"] for result in both["results"]] == [[], [{"name": "run"}]]
    code, message = flow.refusal(
        statements=[{"sql": insert, "parameters": [2, "read"]}, {"sql": insert, "parameters": [3, "run"]}]
    )
    assert (code, "statement 2" in message) == ("invalid_input", True)
    assert flow.rows("SELECT count(*) AS n FROM habits") == [{"n": 1}], "the first of them was undone"


@pytest.mark.requirement("services:database-migrations")
def test_each_migration_is_applied_once_in_order_by_runs_that_begin_together(flows: Any) -> None:
    steps = [
        HABITS,
        "ALTER TABLE habits ADD COLUMN note TEXT",
        "INSERT INTO habits (id, name) VALUES (1, 'first')",
    ]
    runs = [flows("migrating_flow") for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(run.ask, migrate=steps) for run in runs]
        assert sorted(call.result()["migrated"] for call in calls) == [0, 0, 0, 0, 0, 3]
    more = flows("migrating_flow").ask(migrate=[*steps, "CREATE INDEX by_note ON habits (note)"])
    assert more["migrated"] == 1
    assert flows("migrating_flow").ask(migrate=steps[:1])["migrated"] == 0, "an older version knows fewer"


@pytest.mark.requirement("services:database-migrations")
def test_a_migration_that_was_changed_or_fails_changes_nothing(flows: Any) -> None:
    flow = flows()
    flow.ask(migrate=[HABITS])
    code, message = flow.refusal(migrate=[HABITS.replace("score", "points"), "CREATE TABLE b (x INTEGER)"])
    assert (code, message.startswith("Migration 1 is not the one")) == ("invalid_input", True)
    flow.refusal(migrate=[HABITS, "CREATE TABLE b (x INTEGER)", "CREATE TABLE b (x INTEGER)"])
    assert [table["name"] for table in flow.ask("tables")["tables"]] == ["habits"]
    assert flow.ask(migrate=[HABITS, "CREATE TABLE b (x INTEGER)"])["migrated"] == 1


@pytest.mark.requirement("services:database-apart")
def test_each_workflow_and_owner_has_a_database_of_its_own(flows: Any, door: Door) -> None:
    mine, same, neighbour, other = (
        flows("apart_flow"),
        flows("apart_flow"),
        flows("near_flow"),
        flows("apart_flow", "bob"),
    )
    mine.ask(migrate=["CREATE TABLE own (word TEXT)"], sql="INSERT INTO own VALUES ('mine')")
    assert same.rows("SELECT word FROM own") == [{"word": "mine"}]
    for flow in (neighbour, other):
        assert flow.refusal(sql="SELECT word FROM own")[0] == "invalid_input"
        assert flow.ask("tables")["tables"] == []
    assert neighbour.refusal(sql="SELECT 1", workflow="apart_flow")[0] == "invalid_input"
    assert door.ask(lambda runtime: runtime._container.databases.count("apart_flow")) >= 1  # pyright: ignore[reportPrivateUsage]


def _hostile(kind: str, theirs: str) -> list[str]:
    """SQL that reaches for what is another's; `theirs` is where another workflow's table `own` is."""
    if kind == "sqlite":
        return [
            f"ATTACH DATABASE '{theirs}' AS other", "DETACH DATABASE main", f"VACUUM INTO '{theirs}.copy'", "VACUUM",
            "SELECT load_extension('libm.so.6')", "SELECT readfile('/etc/passwd')", "SELECT writefile('/tmp/x', 'y')",
            "SELECT fts3_tokenizer('simple')", "SELECT edit('x')", "PRAGMA writable_schema = ON", "PRAGMA journal_mode = DELETE",
            "PRAGMA temp_store_directory = '/'", "PRAGMA page_size = 512", "PRAGMA max_page_count = 99999999", "PRAGMA trusted_schema = ON",
            "SELECT * FROM pragma_database_list", "CREATE VIRTUAL TABLE c USING csv(filename='/etc/passwd')",
            "CREATE VIRTUAL TABLE d USING dbstat", "CREATE VIRTUAL TABLE e USING sqlite_dbpage", "CREATE TEMP TABLE t (x)",
            "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "RELEASE s", "UPDATE sqlite_master SET sql = 'x'",
            "INSERT INTO _migrations VALUES (99, 'x')", "DELETE FROM _migrations", "DROP TABLE _migrations",
            "ALTER TABLE _migrations RENAME TO m", "SELECT 1; SELECT 2", "SELECT zeroblob(1000000000)", "EXPLAIN ATTACH 'x' AS y",
            "CREATE TEMP TRIGGER r AFTER INSERT ON fine BEGIN SELECT 1; END", "CREATE TABLE temp.t (x)",
        ]  # fmt: skip
    return [
        f"SELECT * FROM {theirs}.own", "SELECT * FROM public.runs", "SELECT * FROM runs", "SELECT * FROM secrets",
        "SELECT * FROM public.secrets", "DELETE FROM public.runs", "CREATE TABLE public.x (a int)", f"DROP TABLE {theirs}.own",
        f"CREATE TABLE {theirs}.x (a int)", f"INSERT INTO {theirs}.own VALUES ('x')", f"CREATE VIEW v AS SELECT * FROM {theirs}.own",
        "SELECT * FROM pg_class", "SELECT relname FROM pg_catalog.pg_class", 'SELECT * FROM "pg_authid"', "SELECT rolname FROM pg_roles",
        'SELECT * FROM U&"pg\\005fclass"', "SELECT * FROM information_schema.tables", "SELECT 'public.runs'::regclass",
        "SELECT current_setting('data_directory')", "SELECT set_config('role', 'codewords', false)", "SET ROLE codewords", "RESET ROLE",
        "SET SESSION AUTHORIZATION codewords", "SET search_path = public", "SET statement_timeout = 0", "SHOW all",
        "SELECT pg_sleep(1)", "SELECT pg_read_file('/etc/passwd')", "SELECT pg_ls_dir('.')", "SELECT pg_advisory_lock(1)",
        "SELECT pg_terminate_backend(1)", "SELECT lo_import('/etc/passwd')", "SELECT lo_create(0)",
        "SELECT query_to_xml('select * from pg_class', true, false, '')", "SELECT * FROM ts_stat('select 1')",
        "SELECT database_to_xml(true, true, '')", "COPY fine TO '/tmp/x'", "COPY fine FROM PROGRAM 'id'", "DO $$ BEGIN END $$",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE EXTENSION dblink", "CREATE ROLE x SUPERUSER",
        "ALTER ROLE CURRENT_USER SUPERUSER", "GRANT codewords TO CURRENT_USER", "CREATE SCHEMA s", "LISTEN x", "NOTIFY x, 'y'",
        "PREPARE p AS SELECT 1", "EXECUTE p", "CREATE TEMP TABLE t (x int)", "BEGIN", "COMMIT", "ROLLBACK", "LOCK TABLE fine",
        "SELECT 1; SELECT 2", "SELECT 1; COMMIT", "SELECT 1 /* ; */ ; DROP TABLE fine", "CALL x()", "VACUUM", "DISCARD ALL",
        "CREATE TRIGGER t AFTER INSERT ON fine EXECUTE FUNCTION f()", "CREATE RULE r AS ON SELECT TO fine DO INSTEAD SELECT 1",
        "INSERT INTO _migrations VALUES (99, 'x')", 'DROP TABLE "_migrations"', "CREATE TABLE fine2 (x int) TABLESPACE pg_default",
        "SELECT /* unclosed", "SELECT 'unclosed", "SELECT $a$ unclosed", "SELECT has_table_privilege('public.runs', 'select')",
        "SELECT E'\\'' ; SELECT 2 --'", "ALTER TABLE fine OWNER TO codewords", "ALTER TABLE fine SET SCHEMA public",
        f"ALTER TABLE fine SET SCHEMA {theirs}", "CREATE TABLE fk (x int REFERENCES public.runs (id))",
        "SELECT nextval('public.x')", "EXPLAIN ANALYZE SELECT * FROM public.runs", "TABLE public.runs", "MERGE INTO public.runs USING fine ON true WHEN MATCHED THEN DELETE",
    ]  # fmt: skip


@pytest.mark.requirement("services:database-hostile")
def test_sql_reaches_nothing_of_the_runtimes_or_of_another_workflow(
    flows: Any, door: Door, kind: str
) -> None:
    victim, flow = flows("victim_flow"), flows("hostile_flow")
    victim.ask(migrate=["CREATE TABLE own (word TEXT)"], sql="INSERT INTO own VALUES ('secret word')")
    flow.ask(migrate=["CREATE TABLE fine (x INTEGER)"])
    name = DatabaseKey("local", "victim_flow").name
    theirs = str(door.settings.home / "databases" / f"{name}.db") if kind == "sqlite" else name

    for sql in _hostile(kind, theirs):
        answer = flow.post(sql=sql)
        assert 400 <= answer.status_code < 500, (sql, answer.text)
        assert "secret word" not in answer.text, sql
    assert victim.rows("SELECT word FROM own") == [{"word": "secret word"}]
    assert [table["name"] for table in flow.ask("tables")["tables"]] == ["fine"]
    assert flow.ask(migrate=["CREATE TABLE fine (x INTEGER)"])["migrated"] == 0


@pytest.mark.requirement("services:database-hostile")
def test_the_role_of_a_workflow_has_no_rights_beyond_its_schema(flows: Any, door: Door, kind: str) -> None:
    if kind == "sqlite":
        assert (door.settings.home / "databases").stat().st_mode & 0o077 == 0
        return
    flows("victim_flow").ask(migrate=["CREATE TABLE own (word TEXT)"])
    flows("role_flow").ask(migrate=["CREATE TABLE fine (x INTEGER)"])
    own, theirs = DatabaseKey("local", "role_flow").name, DatabaseKey("local", "victim_flow").name
    engine = create_engine(str(door.settings.database_url).replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        rights = connection.execute(
            text(
                "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND "
                "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname <> :own AND "
                "has_table_privilege(:own, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES')"
            ),
            {"own": own},
        ).all()
        role = connection.execute(
            text(
                "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolcanlogin,"
                " has_schema_privilege(:own, :theirs, 'USAGE'), has_schema_privilege(:own, 'public', 'CREATE')"
                " FROM pg_roles WHERE rolname = :own"
            ),
            {"own": own, "theirs": theirs},
        ).one()
    engine.dispose()
    assert rights == []
    assert tuple(role) == (False, False, False, False, False, True, False, False)


@pytest.mark.requirement("services:database-bounded")
def test_an_answer_has_so_many_rows_and_bytes_and_a_call_so_many_statements(flows: Any) -> None:
    flow = flows()
    numbers = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {}) SELECT x FROM c"
    assert len(flow.rows(numbers.format(10_000))) == 10_000
    code, message = flow.refusal(sql=numbers.format(10_001))
    assert (code, "10000 rows" in message) == ("body_too_large", True)
    flow.ask(migrate=["CREATE TABLE texts (t TEXT)"])
    for _ in range(5):
        flow.ask(sql="INSERT INTO texts VALUES (?)", parameters=["x" * 1_000_000])
    assert flow.refusal(sql="SELECT t FROM texts")[0] == "body_too_large"
    assert flow.refusal(statements=[{"sql": "SELECT 1"}] * 101)[0] == "invalid_input"
    assert flow.refusal(sql="SELECT '" + "x" * 100_001 + "'")[0] == "invalid_input"


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"sql": "SELECT 1", "statements": [{"sql": "SELECT 1"}]}, {"sql": "SELECT ?", "parameters": [[1]]},
        {"sql": "SELECT ?", "parameters": [{"base64": "?"}]}, {"sql": "SELECT ?", "parameters": []}, {"sql": "SELECT :a", "parameters": {"b": 1}},
        {"sql": "SELECT ?", "parameters": [1, 2]}, {"sql": ""}, {"sql": "nonsense"}, {"sql": "SELECT nothing FROM nowhere"},
        {"sql": "SELECT 1", "more": 1}, {"sql": "SELECT ?", "parameters": [{"base64": 5}]},
    ],
)  # fmt: skip
def test_a_call_that_makes_no_sense_is_refused_in_a_sentence(flows: Any, wrong: Any) -> None:
    code, message = flows().refusal(**wrong)
    assert code == "invalid_input"
    assert message.endswith(".")


@pytest.mark.requirement("services:database-reads")
def test_the_engine_tells_reads_from_writes(flows: Any) -> None:
    flow = flows()
    flow.ask(migrate=[HABITS], sql="INSERT INTO habits (id, name) VALUES (1, 'run')")
    for sql in (
        "INSERT INTO habits (id, name) VALUES (2, 'x')", "DELETE FROM habits", "UPDATE habits SET score = 1", "CREATE TABLE b (x INTEGER)",
        "WITH a AS (SELECT 1) UPDATE habits SET score = 5", "DROP TABLE habits", "CREATE INDEX i ON habits (score)",
    ):  # fmt: skip
        assert flow.refusal("query", sql=sql)[1].startswith("This statement writes"), sql
    for sql in (
        "SELECT name FROM habits",
        "WITH a AS (SELECT name FROM habits) SELECT name FROM a",
        "SELECT replace(name, 'a', 'b') AS name FROM habits",
    ):
        assert flow.ask("query", sql=sql)["rows"] == [{"name": "run"}]
    assert flow.rows("SELECT id, score FROM habits") == [{"id": 1, "score": 0}]


@pytest.mark.requirement("quotas:storage")
def test_the_databases_of_an_owner_are_measured_together(flows: Any, door: Door) -> None:
    owner = f"owner-{uuid.uuid4().hex[:8]}"
    for workflow in ("first_flow", "second_flow"):
        flow = flows(workflow, owner)
        flow.ask(
            migrate=["CREATE TABLE texts (t TEXT)"],
            sql="INSERT INTO texts VALUES (?)",
            parameters=[secrets.token_hex(200_000)],
        )
    flows("first_flow", f"{owner}-other").ask(migrate=["CREATE TABLE texts (t TEXT)"])

    def bytes_of(name: str) -> int:
        return door.ask(lambda runtime: runtime.quotas.stored(Caller(name, "user"))).databases

    until(lambda: bytes_of(owner), "a measurement", 60)
    # PostgreSQL counts what compression leaves of it.
    assert 400_000 <= bytes_of(owner) <= 1_200_000
    assert bytes_of(f"{owner}-other") < 100_000


def test_a_person_reads_the_database_of_a_workflow_and_no_other(door: Door) -> None:
    with door.client() as http:
        for workflow in ("nothing_flow", "../codewords"):
            answer = http.post("/run/database/query", json={"sql": "SELECT 1", "workflow": workflow})
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        answer = http.post("/run/database/query", json={"sql": "SELECT 1"})
        assert answer.json()["error"]["message"] == "`workflow` is missing."
