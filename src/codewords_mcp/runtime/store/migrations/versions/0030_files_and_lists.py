"""The name under which a file's bytes are stored; lists whose order an index gives whole, also where nothing was analyzed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0026"
branch_labels = None
depends_on = None

LISTS = {
    "ix_runs_owner_created": ["owner", "created_at", "id"],
    "ix_runs_owner_service": ["owner", "service_id", "created_at", "id"],
    "ix_runs_status_owner": ["status", "owner", "created_at", "id"],
}


def upgrade() -> None:
    """Files of before are stored under their id."""
    op.add_column("files", sa.Column("stored_as", sa.String(64)))
    for name, columns in LISTS.items():
        op.drop_index(name, "runs")
        op.create_index(name, "runs", columns)
    if op.get_bind().dialect.name != "postgresql":
        return  # SQLite drops no constraint without copying the table, and does not take this one's index for lists
    op.drop_constraint("uq_runs_idempotency", "runs")
    op.create_index(
        "uq_runs_idempotency",
        "runs",
        ["owner", "service_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    # A run changes its status three times, and what counts those that are active passes by what was left of it: of a
    # million runs the usual fifth would be 200,000.
    for table in ("runs", "run_requests", "log_chunks"):
        op.execute(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,"
            " autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05)"
        )
