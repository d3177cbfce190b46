"""Runs one SELECT over the views of one owner, in a process of its own. Started as a script: standard library only.

stdin: a line of JSON (see `query_process.py`), then the bytes of the database where it is a copy. stdout: JSON.

The SQL is hostile. SQLite's authorizer lets only the views read tables. It names the innermost view or subquery of each
access, and a subquery can have any name, so the views that read tables have names that nobody can guess.
"""

from __future__ import annotations

import json
import re
import resource
import secrets
import sqlite3
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from typing import Any, cast
from urllib.parse import quote

MEMORY_BYTES = 768 << 20
MAX_VALUE_BYTES = 16 << 20
"""Bytes of a text or blob within a query."""
MAX_CELL = 4000
"""Characters of a value in the answer."""
STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the clock."""
_BEGIN = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*(?:select|with|values)\b", re.IGNORECASE | re.DOTALL)
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: MAX_VALUE_BYTES,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 100,
}
_NAMES = """
    abs acos asin atan atan2 avg ceil ceiling char coalesce concat concat_ws cos count cume_dist date datetime degrees
    dense_rank exp first_value floor format glob group_concat hex ifnull iif instr json json_array json_array_length
    json_each json_extract json_group_array json_group_object json_object json_patch json_quote json_tree json_type
    json_valid julianday lag last_value lead length like ln log log10 log2 lower ltrim max min mod nth_value ntile nullif
    octet_length percent_rank percentile pi pow power printf quote radians rank replace round row_number rtrim sign sin
    sqrt strftime string_agg substr substring sum tan time timediff total trim trunc typeof unicode unixepoch upper
    calls_of -> ->>
"""
_FUNCTIONS = frozenset(_NAMES.split())
_TABLE_FUNCTIONS = frozenset({"json_each", "json_tree"})


def calls_of(body: object) -> str:
    """The requests in a stored trace as JSON: rows of the view `calls`, in the order of its columns."""
    if not isinstance(body, bytes):
        return "[]"
    try:
        stored = json.loads(zlib.decompressobj().decompress(body, MAX_VALUE_BYTES))
        rows = [_call(began, call) for _, began, _, calls, *_ in stored for call in calls]
    except (zlib.error, ValueError, TypeError, RecursionError):
        return "[]"
    return json.dumps(rows)


def _call(began: int, call: list[Any]) -> list[Any]:
    _, channel, method, target, outcome, started, ended, status, sent, received, note, run_id, *_ = call
    if ended is None:
        seconds = None
    else:
        seconds = round((ended - started) / 1000, 4)
    at = round(began + started * 1000)
    facts = [at, channel, method, target, outcome, status or None, seconds, sent, received]
    return [*facts, note or None, run_id or None]


class Percentile:
    """The aggregate `percentile(value, 0 to 100)`, interpolated; NULL without values."""

    def __init__(self) -> None:
        self._values: list[float] = []
        self._part = 0.0

    def step(self, value: object, part: object) -> None:
        """Take a value."""
        if isinstance(part, int | float) and 0 <= part <= 100:
            self._part = part / 100
            if isinstance(value, int | float):
                self._values.append(value)

    def finalize(self) -> float | None:
        """The result."""
        if not self._values:
            return None
        values = sorted(self._values)
        place = self._part * (len(values) - 1)
        below = int(place)
        above = min(below + 1, len(values) - 1)
        return values[below] + (values[above] - values[below]) * (place - below)


def open_database(file: str | None, copy: bytes) -> sqlite3.Connection:
    """Open the home's file for reading only, or a copy in memory."""
    if file is not None:
        return sqlite3.connect(f"file:{quote(file)}?mode=ro", uri=True, isolation_level=None, timeout=2)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(copy)
    return connection


def run(request: dict[str, Any], copy: bytes) -> dict[str, Any]:
    """Run the request; what is sent back. Raises sqlite3.Error, MemoryError."""
    if not _BEGIN.match(request["sql"]):
        return {"error": "Only one SELECT can be run."}
    with closing(open_database(request["file"], copy)) as connection:
        return _answer(connection, request)


def _answer(connection: sqlite3.Connection, request: dict[str, Any]) -> dict[str, Any]:
    connection.create_function("calls_of", 1, calls_of, deterministic=True)
    connection.create_aggregate("percentile", 2, Percentile)  # pyright: ignore[reportArgumentType]
    connection.execute("PRAGMA temp_store = MEMORY")

    nonce = f"v{secrets.token_hex(16)}_"
    views: dict[str, str] = request["views"]
    for name, statement in views.items():
        connection.execute(f'CREATE TEMP VIEW "{nonce}{name}" AS {statement}')
        connection.execute(f'CREATE TEMP VIEW "{name}" AS SELECT * FROM "{nonce}{name}"')  # noqa: S608  # names of our views
    connection.execute("PRAGMA query_only = ON")
    hidden = _hidden_names(connection)

    # Only now: the statements above are ours, and the authorizer would refuse them.
    for limit, value in _LIMITS.items():
        connection.setlimit(limit, value)
    deadline = time.monotonic() + request["seconds"]
    connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
    connection.set_authorizer(_authorizer(nonce, frozenset(views), hidden))
    try:
        return _fetch(connection, request["sql"], request["max_rows"], request["max_bytes"])
    except sqlite3.Error as error:
        return {"error": str(error).replace(nonce, "")[:300]}


def _hidden_names(connection: sqlite3.Connection) -> frozenset[str]:
    """The tables and modules that no query may name, not even without a column."""
    tables = connection.execute("SELECT name FROM main.sqlite_schema").fetchall()
    modules = connection.execute("SELECT name FROM pragma_module_list").fetchall()
    return frozenset(str(name).lower() for (name,) in [*tables, *modules]) - _TABLE_FUNCTIONS


def _authorizer(nonce: str, views: frozenset[str], hidden: frozenset[str]) -> Callable[..., int]:
    def is_readable(table: str, column: str, database: str | None, within: str | None) -> bool:
        name = table.lower()
        if within is not None and within.startswith(nonce):
            return True
        if name in _TABLE_FUNCTIONS or name.startswith(nonce):
            return True
        if database == "temp":
            return name in views
        # A table of which no column is read: a subquery looks the same, and has no table's name.
        return not column and database is None and (name in views or not _is_hidden(name, hidden))

    def authorize(
        action: int, first: str | None, second: str | None, database: str | None, within: str | None
    ) -> int:
        if action in {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE}:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _FUNCTIONS:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and is_readable(first or "", second or "", database, within):
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    return authorize


def _is_hidden(name: str, hidden: frozenset[str]) -> bool:
    return name in hidden or name.startswith(("sqlite_", "pragma_"))


def _fetch(connection: sqlite3.Connection, sql: str, max_rows: int, max_bytes: int) -> dict[str, Any]:
    cursor = connection.execute(sql)
    columns = [str(column[0]) for column in cursor.description or ()]
    rows: list[list[Any]] = []
    size = 0
    for row in cursor:
        # One row more than is shown tells that there are more, without counting them.
        if len(rows) == max_rows:
            return {"columns": columns, "rows": rows, "more": True}
        cells = [_cell(value) for value in row]
        size += sum(len(cell) if isinstance(cell, str) else 8 for cell in cells)
        if size > max_bytes:
            return {"columns": columns, "rows": rows, "more": True}
        rows.append(cells)
    return {"columns": columns, "rows": rows, "more": False}


def _cell(value: object) -> object:
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    if isinstance(value, str) and len(value) > MAX_CELL:
        return f"{value[:MAX_CELL]}… ({len(value) - MAX_CELL} more characters)"
    # JSON has no infinity.
    if isinstance(value, float) and value in {float("inf"), float("-inf")}:
        return str(value)
    return value


def main() -> None:
    """Answer the request on stdin."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    head, _, copy = sys.stdin.buffer.read().partition(b"\n")
    request = cast("dict[str, Any]", json.loads(head))
    # One long call of a function passes no look at the clock; then the kernel ends the process.
    seconds = int(request["seconds"]) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    try:
        answer = run(request, copy)
    except MemoryError:
        answer = {"error": "out of memory"}
    except sqlite3.Error as error:
        answer = {"failed": str(error)[:300]}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
