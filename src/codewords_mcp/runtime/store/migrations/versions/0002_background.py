"""Background runs that outlive the process: who holds a run, what it was asked, what it may retry."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, the stored requests and the indexes that keep lists quick among a million runs."""
    for column in (
        sa.Column("background", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("executor", sa.String(32)),
        sa.Column("running_at", sa.BigInteger),
        sa.Column("retries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("in_queue", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("deliveries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("depth", sa.Integer, nullable=False, server_default="0"),
        sa.Column("priority", sa.Integer, nullable=False, server_default="50"),
        sa.Column("not_before", sa.BigInteger),
        sa.Column("cancel_asked", sa.Boolean, nullable=False, server_default=sa.false()),
    ):
        op.add_column("runs", column)
    op.create_table(
        "run_requests",
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("method", sa.String(32), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("query", sa.LargeBinary, nullable=False),
        sa.Column("headers", sa.JSON, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("timeout", sa.Float),
        sa.Column("caller_kind", sa.String(16), nullable=False),
    )
    op.create_index("ix_runs_owner_service", "runs", ["owner", "service_id", "created_at"])
    op.create_index("ix_runs_created", "runs", ["created_at"])
