"""Add the times at which secrets expire."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020_secret_ends"
down_revision = "0019_members"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("secrets", sa.Column("expires_at", sa.BigInteger))
