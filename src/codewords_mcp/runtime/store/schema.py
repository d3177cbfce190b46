"""Check that a database has the tables and columns of its version, before it is changed or served.

A database that lacks some (made by a development version, restored in parts) would open. Every
request that needs a missing part would then fail.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, Table, text

from codewords_mcp.errors import StorageFailed
from codewords_mcp.errors.remedies import Remedy, RemedyAction

Columns = dict[str, set[str]]
_SQLITE = text(
    "SELECT tables.name, columns.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns"
    " WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite!_%' ESCAPE '!'"
)
_POSTGRES = text(
    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
)
SHOWN = 5
"""Missing parts that are named."""


def columns_of(connection: Connection) -> Columns:
    """The columns of each table, in one query."""
    found: Columns = {}
    if connection.dialect.name == "sqlite":
        query = _SQLITE
    else:
        query = _POSTGRES
    for table, column in connection.execute(query):
        found.setdefault(table, set()).add(column)
    return found


def all_tables() -> list[Table]:
    """The tables that the code of this release uses."""
    from codewords_mcp.runtime.store import tables, usage_tables

    assert usage_tables.model_usage.metadata is tables.metadata  # noqa: S101  # imported for the tables that it adds
    return tables.metadata.sorted_tables


def columns_of_head() -> Columns:
    """The columns of those tables."""
    return {table.name: {column.name for column in table.columns} for table in all_tables()}


def require_fit(engine: Engine, version: str, expected: Columns) -> None:
    """Raises StorageFailed where the database lacks something of this version."""
    with engine.connect() as connection:
        found = columns_of(connection)
    missing = [
        f"{table}.{column}" if table in found else table
        for table, columns in sorted(expected.items())
        for column in sorted(columns - found.get(table, set()))
    ]
    if not missing:
        return

    named = list(dict.fromkeys(missing))
    if len(named) > SHOWN:
        more = f" and {len(named) - SHOWN} more"
    else:
        more = ""

    raise StorageFailed(
        f"This home's database says that it is at version {version}, and lacks parts of it:"
        f" {', '.join(named[:SHOWN])}{more}. Nothing was changed.",
        hint="It was made by an unreleased version of codewords-mcp, or is damaged. Set CODEWORDS_HOME to another folder.",
        remedy=Remedy(RemedyAction.RESTORE_BACKUP),
    )
