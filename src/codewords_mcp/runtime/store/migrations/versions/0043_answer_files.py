"""The file that a binary answer is stored as is in its run's record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column. Runs of before have none; replicas of the version before leave it empty."""
    op.add_column("runs", sa.Column("response_file", sa.JSON(none_as_null=True)))
