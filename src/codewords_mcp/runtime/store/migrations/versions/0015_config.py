"""Keep plain configuration values of workflows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015_config"
down_revision = "0014_trigger_deployments"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, which is empty for workflows that are there already."""
    op.add_column("workflows", sa.Column("config", sa.JSON))
