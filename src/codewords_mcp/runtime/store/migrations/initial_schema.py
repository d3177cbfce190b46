"""Create the tables of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from codewords_mcp.runtime.store.migrations.initial_tables import metadata
from codewords_mcp.runtime.store.migrations.initial_usage_tables import usage_days

assert usage_days.metadata is metadata  # noqa: S101  # imported for the tables that it adds

BUSY_TABLES = ("runs", "run_requests", "log_chunks")
"""Tables whose rows change several times in a run."""


_CREATED_LAST = (
    "ix_runs_owner_created",
    "ix_runs_owner_service",
    "ix_runs_status_owner",
    "uq_runs_idempotency",
    "ix_runs_unsummed",
    "ix_runs_parent",
)
"""Indexes of runs in the order of their creation.

Before a table is analyzed, PostgreSQL chooses among equally good indexes by age.
"""


def create(connection: sa.Connection) -> None:
    """Create all tables with their indexes."""
    for table in metadata.sorted_tables:
        create_table(connection, table)
    tune_autovacuum(connection)


def create_table(connection: sa.Connection, table: sa.Table) -> None:
    """Create a table with its indexes."""
    connection.execute(CreateTable(table))
    for index in indexes_of(table):
        index.create(connection)


def indexes_of(table: sa.Table) -> list[sa.Index]:
    """Return the indexes of a table in the order of their creation."""
    by_name = sorted(table.indexes, key=lambda index: str(index.name))
    return sorted(
        by_name, key=lambda index: _CREATED_LAST.index(index.name) if index.name in _CREATED_LAST else -1
    )


def tune_autovacuum(connection: sa.Connection) -> None:
    """Let PostgreSQL vacuum the busy tables early; does nothing on SQLite.

    Counts of active runs read past dead rows. The default fifth of a million runs would be 200,000.
    """
    if connection.dialect.name != "postgresql":
        return

    for table in BUSY_TABLES:
        connection.exec_driver_sql(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,"
            " autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05)"
        )
