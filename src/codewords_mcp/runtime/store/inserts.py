"""Inserts of rows that another process may insert at the same moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql


def insert_into(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that can say what happens where the row is there: each dialect has one of its own."""
    if dialect == "postgresql":
        # Its types and drivers are a megabyte that most homes never use.
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    return sqlite.insert(table)


def insert_once(connection: Connection, table: Table, row: Mapping[str, object]) -> None:
    """Insert a row unless it is there."""
    into = insert_into(connection.dialect.name, table)
    connection.execute(into.values(dict(row)).on_conflict_do_nothing())


def put(
    connection: Connection, table: Table, row: Mapping[str, object], *, keeps: Collection[str] = ()
) -> None:
    """Insert a row, or change the one of its primary key, which keeps the columns `keeps`."""
    # In one statement: of two processes whose update finds no row, the second one's insert would fail.
    into = insert_into(connection.dialect.name, table).values(dict(row))
    left = {column.name for column in table.primary_key} | set(keeps)
    changes = {name: into.excluded[name] for name in row if name not in left}
    connection.execute(into.on_conflict_do_update(index_elements=list(table.primary_key), set_=changes))
