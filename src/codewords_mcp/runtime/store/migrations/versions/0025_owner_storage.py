"""Add what owners store, as it was last measured."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025_owner_storage"
down_revision = "0024_workflow_list"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "owner_storage",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("bytes", sa.JSON, nullable=False),
        sa.Column("measured_at", sa.BigInteger, nullable=False),
    )
