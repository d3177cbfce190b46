"""Upgrade homes that development versions made before the first release.

Their databases are at one of the old revisions 0001 to 0043, which only added tables, columns and
indexes. So an upgrade adds the missing parts of the first release and stamps the database. No row
is changed.
"""

from __future__ import annotations

from sqlalchemy import Connection, Table, inspect, text
from sqlalchemy.schema import CreateColumn

from codewords_mcp.runtime.store.migrations import initial_schema
from codewords_mcp.runtime.store.migrations.initial_tables import metadata

_ADDED = {
    "0002": (
        "run_requests runs.background runs.cancel_asked runs.deliveries runs.depth runs.executor "
        "runs.in_queue runs.not_before runs.priority runs.retries runs.running_at"
    ),
    "0003": "runs.schedule_id schedules",
    "0004": "executors",
    "0005": "runs.cost runs.cpu_seconds runs.key_id runs.peak_memory",
    "0010": "budgets model_reservations model_usage",
    "0021": "runs.egress_in runs.egress_out runs.waits_for",
    "0022": "",
    "0023": (
        "budget_accounts keys.models model_reservations.budgets model_reservations.executor "
        "model_usage.cached model_usage.fallbacks"
    ),
    "0024": "secrets.rule",
    "0025": "versions.manifest",
    "0026": "outbox service_values",
    "0030": "files.stored_as",
    "0031": "schedules.key_id",
    "0032": "executors.key_ids key_use links",
    "0033": "integrations",
    "0034": "login_sessions logins webhook_deliveries webhooks",
    "0035": "drafts versions.example workflows.template",
    "0036": "keys.scopes keys.toolsets published tasks",
    "0037": "marks",
    "0038": "browsers",
    "0039": "model_usage.summed model_usage_days runs.summed usage_days",
    "0040": "runs.input",
    "0041": (
        "agreements files.maker runs.made_by schedules.made_by schedules.maker "
        "webhook_deliveries.made_by webhooks.made_by webhooks.maker"
    ),
    "0042": "webhooks.key_id",
    "0043": "runs.response_file",
}
"""Tables and columns that each old revision added."""

REVISIONS = ("0001", *_ADDED)
_REPLACED_INDEX = "ix_runs_status"
"""The index that `ix_runs_status_owner` replaced."""


def columns_at(revision: str) -> dict[str, set[str]]:
    """Return the columns of each table that a database at this old revision has."""
    # Numbers of revisions all have four digits, so they compare as text.
    later = {name for number, names in _ADDED.items() if number > revision for name in names.split()}
    return {
        table.name: {column.name for column in table.columns if f"{table.name}.{column.name}" not in later}
        for table in metadata.sorted_tables
        if table.name not in later
    }


def upgrade(connection: Connection, *, stamp: str) -> None:
    """Add missing parts of the first release to the database, and stamp it with that revision."""
    existing = set(inspect(connection).get_table_names())
    for table in metadata.sorted_tables:
        if table.name in existing:
            _add_columns(connection, table)
            _add_indexes(connection, table)
        else:
            initial_schema.create_table(connection, table)

    initial_schema.tune_autovacuum(connection)
    connection.execute(text("UPDATE alembic_version SET version_num = :stamp"), {"stamp": stamp})


def _add_columns(connection: Connection, table: Table) -> None:
    existing = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for column in table.columns:
        if column.name not in existing:
            definition = CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")


def _add_indexes(connection: Connection, table: Table) -> None:
    """Create missing indexes, and make those anew that had other columns."""
    existing = {index["name"]: index for index in inspect(connection).get_indexes(table.name)}
    if _REPLACED_INDEX in existing:
        connection.exec_driver_sql(f"DROP INDEX {_REPLACED_INDEX}")

    for index in initial_schema.indexes_of(table):
        found = existing.get(index.name)
        if found and not found.get("duplicates_constraint") and found["column_names"] == index.columns.keys():
            continue

        # PostgreSQL lists a unique constraint as an index, and drops it only as a constraint.
        if found and found.get("duplicates_constraint"):
            connection.exec_driver_sql(f"ALTER TABLE {table.name} DROP CONSTRAINT {index.name}")
        elif found:
            connection.exec_driver_sql(f"DROP INDEX {index.name}")

        index.create(connection)
