"""Add quotas of owners."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022_owner_quotas"
down_revision = "0021_passkeys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "owner_quotas",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("concurrency", sa.Integer),
        sa.Column("queue_limit", sa.Integer),
        sa.Column("runs_per_hour", sa.Integer),
        sa.Column("runs_per_day", sa.Integer),
        sa.Column("memory", sa.BigInteger),
        sa.Column("storage", sa.BigInteger),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
