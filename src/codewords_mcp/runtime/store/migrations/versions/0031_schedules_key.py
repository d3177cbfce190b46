"""Whose key made a schedule: its runs keep to that key's models and budgets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; schedules that are there already are their owner's alone."""
    op.add_column("schedules", sa.Column("key_id", sa.String(32)))
