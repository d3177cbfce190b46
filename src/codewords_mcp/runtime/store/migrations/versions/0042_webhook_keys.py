"""Whose key a webhook was made with, as schedules have it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column: what is there already counts as made with the home's own key."""
    op.add_column("webhooks", sa.Column("key_id", sa.String(32)))
