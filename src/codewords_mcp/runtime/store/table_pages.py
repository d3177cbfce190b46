"""One page of each table, read, and one page, written: a cheap trial of a database before runs need it."""

from __future__ import annotations

from sqlalchemy import Connection

from codewords_mcp.runtime.store import inserts
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.tables import meta

WRITE_TEST = "write_test"
"""Name in the table `meta`; its value is the time of the last trial, in µs."""
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"


def read_one_of_each(connection: Connection) -> None:
    """Read the page of each table that takes its next row. Raises DatabaseError where one is damaged.

    A server has tables of its own for that and looks after its pages, so it is only asked for a reply.
    """
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql("SELECT 1")
        return
    names = [name for (name,) in connection.exec_driver_sql(_TABLES)]
    last_rows = [f'SELECT * FROM (SELECT rowid FROM "{name}" ORDER BY rowid DESC LIMIT 1)' for name in names]  # noqa: S608
    connection.exec_driver_sql(" UNION ALL ".join(last_rows)).all()


def write_one(connection: Connection) -> None:
    """Write and commit a small row. Raises DatabaseError where the database takes no writes."""
    inserts.put(connection, meta, {"name": WRITE_TEST, "value": str(now())})
