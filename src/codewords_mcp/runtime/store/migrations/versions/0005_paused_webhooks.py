"""Let webhooks be paused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_paused_webhooks"
down_revision = "0004_deployers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, which is empty for webhooks that are there already: they are not paused."""
    op.add_column("webhooks", sa.Column("paused", sa.Boolean))
