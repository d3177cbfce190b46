"""Host rules of secrets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the rule; secrets of before have none."""
    op.add_column("secrets", sa.Column("rule", sa.JSON(none_as_null=True), nullable=True))
