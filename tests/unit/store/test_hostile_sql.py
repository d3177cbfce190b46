"""Hostile SQL of a workflow, and the process that it would have if a fault in SQLite gave it one."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.support.processes import descendants

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.sandboxes.landlock.inside import ruleset
from codewords_mcp.runtime.sandboxes.landlock.workers import confined_command
from codewords_mcp.runtime.store.workflow_databases.base import DatabaseKey, SqlCall, SqlStatement
from codewords_mcp.runtime.store.workflow_databases.sqlite import SqliteDatabases

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("services:database-confined")]
KEY = DatabaseKey("ann", "hostile_flow")
SHADOWS = (
    "UPDATE t_data SET block = zeroblob(20)",
    "UPDATE T_DATA SET block = zeroblob(20)",
    "UPDATE main.\"t_data\" SET block = x'00'",
    "INSERT INTO t_data VALUES (99, x'ff')",
    "REPLACE INTO t_config VALUES ('pgsz', 1)",
    "INSERT INTO t_config VALUES ('version', 99) ON CONFLICT DO UPDATE SET v = 99",
    "WITH c AS (SELECT 1) DELETE FROM t_idx",
    "DELETE FROM t_docsize",
    "DROP TABLE t_content",
    "ALTER TABLE t_data RENAME TO mine",
    "ALTER TABLE t_content ADD COLUMN more",
    "CREATE INDEX i ON t_content (c0)",
    "CREATE TRIGGER g AFTER INSERT ON t_content BEGIN SELECT 1; END",
    "UPDATE r_node SET data = x'00'",
    "/* a comment */ UPDATE r_rowid SET nodeno = 5",
    "INSERT INTO r_parent VALUES (1, 1)",
    "INSERT INTO plain VALUES (1)",
)
REFUSED = (
    "ATTACH '/etc/passwd' AS a", "DETACH main", "VACUUM INTO '/tmp/x'", "VACUUM", "PRAGMA writable_schema = ON",
    "PRAGMA writable_schema", "PRAGMA journal_mode = OFF", "PRAGMA temp_store_directory = '/tmp'", "PRAGMA query_only = 0",
    "PRAGMA trusted_schema = ON", "PRAGMA page_size = 512", "PRAGMA data_version = 5", "SELECT * FROM pragma_database_list",
    "SELECT load_extension('/tmp/x.so')", "SELECT readfile('/etc/passwd')", "SELECT writefile('/tmp/x', 'y')", "SELECT edit('x')",
    "SELECT fts3_tokenizer('simple')", "UPDATE sqlite_master SET sql = 'x'", "DELETE FROM sqlite_schema",
    "INSERT INTO sqlite_master VALUES ('table', 'x', 'x', 0, 'CREATE VIRTUAL TABLE x USING fts5')",
    "SELECT * FROM sqlite_dbpage", "UPDATE sqlite_dbpage SET data = zeroblob(4096)", "SELECT * FROM sqlite_stmt",
    "CREATE VIRTUAL TABLE z USING zipfile('/etc/x.zip')", "CREATE VIRTUAL TABLE z USING csv(filename='/etc/passwd')",
    "CREATE VIRTUAL TABLE z USING fts3_tokenize('simple')", "CREATE VIRTUAL TABLE z USING fts4(x)", "CREATE TEMP TABLE z (x)",
    "SELECT * FROM fsdir('/')", "SELECT * FROM zipfile('/x.zip')", "BEGIN", "COMMIT", "SAVEPOINT s", "SELECT 1; DROP TABLE plain",
    "SELECT " + " + ".join("1" * 5000), "SELECT 1 " + "UNION ALL SELECT 1 " * 600,
    "ALTER TABLE plain RENAME TO _migrations", "ALTER TABLE plain RENAME TO _MIGRATIONS", "CREATE TABLE temp.z (x)",
    "UPDATE sqlite_temp_master SET sql = 'x'", "INSERT INTO temp.sqlite_master VALUES (1, 1, 1, 1, 1)",
    "CREATE TEMP TRIGGER g AFTER INSERT ON plain BEGIN SELECT 1; END", "SELECT zeroblob(1 << 40)", "SELECT '" + "x" * 2_000_000 + "'",
)  # fmt: skip
PROBES = """
import ctypes, json, os, socket, subprocess, sys
HOME = {home!r}
def tried(call):
    try:
        return call() or "done"
    except OSError as error:
        return error.strerror
def main():
    libc = ctypes.CDLL(None, use_errno=True)
    def raw(number, *arguments):
        if libc.syscall(number, *arguments) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    print(json.dumps({{
        "passwd": tried(lambda: open("/etc/passwd").read()), "key": tried(lambda: open(HOME + "/api.key").read()),
        "make": tried(lambda: open(HOME + "/new", "w").close()), "tmp": tried(lambda: open("/tmp/new", "w").close()),
        "memory": tried(lambda: open("/proc/self/mem", "rb").close()), "fork": tried(os.fork),
        "exec": tried(lambda: os.execv("/bin/true", ["true"])), "socket": tried(socket.socket),
        "unix": tried(lambda: socket.socket(socket.AF_UNIX)), "ptrace": tried(lambda: raw(101, 0, 0, 0, 0)),
        "kill": tried(lambda: os.kill(os.getppid(), 0)), "namespace": tried(lambda: raw(272, 0x10000000)),
        "link": tried(lambda: os.symlink("/etc/passwd", HOME + "/databases/link")),
        "rename": tried(lambda: os.rename(HOME + "/databases/mine", HOME + "/moved")),
        "mode": tried(lambda: os.chmod(HOME + "/databases/mine", 0o4777)),
        "own": tried(lambda: open(HOME + "/databases/new", "w").close()),
    }}))
"""


@pytest.fixture
async def databases(tmp_path: Path) -> AsyncIterator[SqliteDatabases]:
    opened = SqliteDatabases(tmp_path, confined_command, timeout=20.0, file_bytes=1 << 22)
    await opened.run(
        KEY,
        calls(
            "CREATE VIRTUAL TABLE t USING fts5(body)",
            "CREATE VIRTUAL TABLE r USING rtree(id, low, high)",
            "CREATE TABLE plain (x)",
            "INSERT INTO t VALUES ('words of a text')",
            "INSERT INTO r VALUES (1, 2, 3)",
        ),
    )
    yield opened
    await opened.close()


def calls(*statements: str) -> SqlCall:
    return SqlCall(tuple(SqlStatement(sql, []) for sql in statements))


async def test_no_statement_writes_a_shadow_table_and_the_virtual_table_goes_on(
    databases: SqliteDatabases, tmp_path: Path
) -> None:
    # Made by an older release, or before the virtual table: it fires on what fts5 itself writes.
    path = next((tmp_path / "databases").glob("*.db"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TRIGGER p AFTER INSERT ON plain BEGIN UPDATE t_data SET block = x'00'; END"
        )
    before = _shadows(path)
    for sql in SHADOWS:
        with pytest.raises(CodewordsError, match="only the virtual table"):
            await databases.run(KEY, calls(sql))
    assert _shadows(path) == before

    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TRIGGER f AFTER INSERT ON t_docsize BEGIN UPDATE t_data SET block = x'00'; END"
        )
    with pytest.raises(CodewordsError, match="only the virtual table"):
        await databases.run(KEY, calls("INSERT INTO t VALUES ('fires')"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER f")

    found = await databases.run(
        KEY,
        calls(
            "INSERT INTO t VALUES ('more words')",
            "UPDATE t SET body = 'other words' WHERE rowid = 1",
            "INSERT INTO t (t) VALUES ('optimize')",
            "DELETE FROM t WHERE rowid = 2",
            "INSERT INTO r VALUES (2, 3, 4)",
            "EXPLAIN QUERY PLAN SELECT * FROM t WHERE t MATCH 'words'",
            "SELECT count(*) FROM t WHERE t MATCH 'words'",
            "DROP TABLE t",
            "DROP TABLE r",
        ),
    )
    assert found.results[6].rows == [[1]]
    assert _shadows(path) == {}


def _shadows(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE name GLOB '[tr]_*' AND type = 'table'"
        )
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in names.fetchall()}


async def test_hostile_statements_are_refused_and_change_nothing(databases: SqliteDatabases) -> None:
    for sql in REFUSED:
        with pytest.raises(CodewordsError):
            await databases.run(KEY, calls(sql))
    shapes, _ = await databases.tables(KEY)
    assert {"plain", "t", "r"} <= {shape.name for shape in shapes}


@pytest.mark.requirement("services:database-migrations")
async def test_tables_and_columns_get_other_names(databases: SqliteDatabases) -> None:
    renames = (
        "ALTER TABLE plain RENAME TO simple",
        "ALTER TABLE simple RENAME COLUMN x TO y",
        "ALTER TABLE t RENAME TO texts",
    )
    found = await databases.run(
        KEY, SqlCall(migrations=renames, statements=(SqlStatement("SELECT count(y) FROM simple"),))
    )
    assert found.migrated == 3
    assert (
        await databases.run(
            KEY,
            calls(
                "INSERT INTO texts VALUES ('found')", "SELECT count(*) FROM texts WHERE texts MATCH 'found'"
            ),
        )
    ).results[1].rows == [[1]]


@pytest.mark.usefixtures("databases")
async def test_the_process_has_no_privileges_and_a_filter(tmp_path: Path) -> None:
    command = str(tmp_path / "databases").encode()
    (process,) = (
        process
        for process in descendants(os.getpid())
        if command in Path(f"/proc/{process}/cmdline").read_bytes()
    )
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert (status["NoNewPrivs"], status["Seccomp"], int(status["CapEff"], 16)) == ("1", "2", 0)


async def test_what_has_the_process_reaches_the_folder_of_databases_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "databases").mkdir(parents=True)
    (home / "databases" / "mine").write_text("", encoding="utf-8")
    (home / "api.key").write_text("key", encoding="utf-8")
    script = tmp_path / "probes.py"
    script.write_text(PROBES.format(home=str(home)), encoding="utf-8")
    command = confined_command(script, [home / "databases"])
    ran = subprocess.run(command, capture_output=True, check=False, encoding="utf-8", cwd="/", env={})
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found.pop("own") == "done"
    if ruleset.abi() < 4:  # pragma: no cover
        pytest.skip("files are kept by Landlock, which this kernel lacks")
    assert set(found.values()) == {"Permission denied", "Operation not permitted"}, found
    assert sys.executable in command[0]
