"""What a run was asked is in its record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column. Runs of before have none; replicas of the version before leave it empty."""
    op.add_column("runs", sa.Column("input", sa.JSON(none_as_null=True)))
