"""Which workflow made a schedule, webhook, file or delivery, and what owners agreed to of workflows of others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create a table, and add columns: what is there already counts as made by a person."""
    for table in ("schedules", "webhooks", "files"):
        op.add_column(table, sa.Column("maker", sa.String(80)))
    for table in ("schedules", "webhooks", "webhook_deliveries", "runs"):
        op.add_column(table, sa.Column("made_by", sa.JSON(none_as_null=True)))
    op.create_index("ix_runs_parent", "runs", ["parent_id"])
    op.create_table(
        "agreements",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column(
            "workflow_id", sa.String(80), sa.ForeignKey("workflows.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("manifest", sa.JSON, nullable=False),
        sa.Column("agreed_at", sa.BigInteger, nullable=False),
    )
