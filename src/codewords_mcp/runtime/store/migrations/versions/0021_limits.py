"""What a waiting run waits for, and the bytes that a run moved through the egress."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; runs of before have none of it."""
    for column in (
        sa.Column("waits_for", sa.String(16)),
        sa.Column("egress_in", sa.BigInteger),
        sa.Column("egress_out", sa.BigInteger),
    ):
        op.add_column("runs", column)
