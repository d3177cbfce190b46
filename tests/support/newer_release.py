"""What the release after this one might do to a database."""

from __future__ import annotations

from sqlalchemy import Connection, text

from codewords_mcp.runtime.store.migrations import REVISIONS, declare_compatible

NEWER = "9999_newer"
"""The revision of that release."""


def add_to_tables(connection: Connection) -> None:
    """Do what a migration may do, and stamp the database with its revision."""
    for statement in (
        "ALTER TABLE runs ADD COLUMN later TEXT",
        "CREATE TABLE later_things (id VARCHAR(40) PRIMARY KEY, run_id VARCHAR(40) REFERENCES runs (id) ON DELETE CASCADE)",
        "CREATE INDEX ix_later_things ON later_things (run_id)",
    ):
        connection.execute(text(statement))
    connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": NEWER})
    declare_compatible(connection, NEWER, [*REVISIONS[-1:], NEWER])
