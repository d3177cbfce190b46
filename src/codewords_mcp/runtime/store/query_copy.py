"""A copy of one owner's rows as a SQLite database, for queries of a home whose database is PostgreSQL.

SQL of a person or model is never sent to the server: whatever it may call there, there is nothing to escape from.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, Final, NamedTuple

from sqlalchemy import JSON, Column, Connection, CursorResult, Select, Table, Text, cast, select

from codewords_mcp.runtime.store.query_views import QueryView, sources_of
from codewords_mcp.runtime.store.tables import run_traces, runs
from codewords_mcp.runtime.store.usage_tables import model_usage

MAX_ROWS: Final = 50_000
"""Rows of a table that are copied, the newest."""
MAX_COPY_BYTES: Final = 96 << 20
_BATCH: Final = 500
_NEWEST: Final = {
    "runs": runs.c.created_at,
    "run_traces": runs.c.created_at,
    "model_usage": model_usage.c.day,
}
_SELDOM: Final = {
    "response_content": {"result"},
    "input": {"input", "path", "method"},
    "error": {"error", "error_code"},
    "attempts": {"attempts"},
}
"""Large columns, and the words of a query that needs them."""


class RowCopy(NamedTuple):
    """The bytes of the database. `cut`: the tables of which older rows are missing."""

    data: bytes
    cut: tuple[str, ...]


def copy_rows(
    connection: Connection,
    owner: str,
    views: Sequence[QueryView],
    sql: str,
    *,
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_COPY_BYTES,
) -> RowCopy:
    """Copy an owner's rows of the tables of these views, as far as the views and `sql` need their columns."""
    tables = sources_of(views)
    read = {word for view in views for word in re.findall(r"\w+", view.sql)}
    words = set(re.findall(r"\w+|\*", sql.lower()))
    cut: list[str] = []
    left = max_bytes
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        copy.execute("BEGIN")
        for table in tables:
            columns = [column for column in table.c if column.name in read and _is_needed(column, words)]
            # All columns, since the views name them; those that the query does not need stay NULL.
            copy.execute(f"CREATE TABLE {table.name} ({_names(table.c)})")
            places = ", ".join("?" * len(columns))
            insert = f"INSERT INTO {table.name} ({_names(columns)}) VALUES ({places})"  # noqa: S608  # names of our tables

            number = 0
            found = connection.execute(_select(table, columns, owner, max_rows))
            for batch in _batches(found):
                copy.executemany(insert, batch)
                number += len(batch)
                left -= sum(_size(row) for row in batch)
                if left < 0:
                    break
            found.close()
            if number >= max_rows or left < 0:
                cut.append(table.name)

        copy.execute("COMMIT")
        for table in tables:
            if "run_id" in table.c:
                copy.execute(f"CREATE INDEX ix_{table.name} ON {table.name} (run_id)")
        return RowCopy(copy.serialize(), tuple(cut))


def _names(columns: Iterable[Column[Any]]) -> str:
    return ", ".join(f'"{column.name}"' for column in columns)


def _is_needed(column: Column[Any], words: set[str]) -> bool:
    needed_by = _SELDOM.get(column.name)
    return needed_by is None or "*" in words or not words.isdisjoint(needed_by)


def _select(table: Table, columns: Sequence[Column[Any]], owner: str, limit: int) -> Select[*tuple[Any, ...]]:
    # JSON as text, which is how SQLite stores it and how the views read it.
    shown = [cast(column, Text) if isinstance(column.type, JSON) else column for column in columns]
    query = select(*shown)
    # A trace has no owner of its own.
    if table is run_traces:
        query = query.join(runs, runs.c.id == run_traces.c.run_id).where(runs.c.owner == owner)
    else:
        query = query.where(table.c.owner == owner)
    newest = _NEWEST.get(table.name)
    if newest is not None:
        query = query.order_by(newest.desc())
    return query.limit(limit).execution_options(stream_results=True, yield_per=_BATCH)


def _batches(found: CursorResult[*tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    for batch in found.partitions(_BATCH):
        yield [tuple(row) for row in batch]


def _size(row: Sequence[Any]) -> int:
    return sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
