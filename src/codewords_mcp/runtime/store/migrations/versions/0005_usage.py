"""What runs used, as columns that SQL can sum."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; runs of before have none of it."""
    for column in (
        sa.Column("key_id", sa.String(32)),
        sa.Column("cpu_seconds", sa.Float),
        sa.Column("peak_memory", sa.BigInteger),
        sa.Column("cost", sa.Float),
    ):
        op.add_column("runs", column)
