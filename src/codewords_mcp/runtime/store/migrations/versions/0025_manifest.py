"""What a version may do. Versions of before have none, and keep what they could do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("versions", sa.Column("manifest", sa.JSON))
