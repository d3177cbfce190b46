"""Notice that a PostgreSQL database was restored from a dump of another database.

`meta` stores the identity of the database that the content belongs to. `pg_dump` copies that row,
and the database that `pg_restore` makes has another identity: its server, database or tables are
new.
"""

from __future__ import annotations

from sqlalchemy import Connection, select, text, update

from codewords_mcp.runtime.store.inserts import insert_once
from codewords_mcp.runtime.store.tables import meta

IDENTITY = "database_identity"
"""Name in the table `meta`."""
_MAY_READ_SERVER = text("SELECT has_function_privilege('pg_control_system()', 'execute')")
_SERVER = text("SELECT system_identifier FROM pg_control_system()")
_TABLES = text(
    "SELECT (SELECT oid FROM pg_database WHERE datname = current_database()) || '.' || 'meta'::regclass::oid"
)


def was_restored(connection: Connection) -> bool:
    """Whether the content comes from another database. True once: then it belongs to this database.

    Always False on SQLite, whose `restore` marks the file itself. A database without an identity
    gets one.
    """
    if connection.dialect.name == "sqlite":
        return False

    found = _identity(connection)
    insert_once(connection, meta, {"name": IDENTITY, "value": found})

    # Of several runtimes that start at once, the lock lets one notice.
    query = select(meta.c.value).where(meta.c.name == IDENTITY).with_for_update()
    if connection.execute(query).scalar_one() == found:
        return False

    connection.execute(update(meta).where(meta.c.name == IDENTITY).values(value=found))
    return True


def _identity(connection: Connection) -> str:
    tables = str(connection.execute(_TABLES).scalar_one())
    # A managed server may not grant it; then the database and the table identify the content.
    if not connection.execute(_MAY_READ_SERVER).scalar_one():
        return tables
    return f"{connection.execute(_SERVER).scalar_one()}.{tables}"
