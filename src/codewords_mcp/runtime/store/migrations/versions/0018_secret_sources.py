"""Add references of secrets that are kept elsewhere."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018_secret_sources"
down_revision = "0017_audit"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("secrets", sa.Column("source", sa.Text))
