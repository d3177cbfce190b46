"""Add how MCP servers from packages are started."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013_mcp_packages"
down_revision = "0012_mcp_servers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("mcp_servers", sa.Column("launch", sa.JSON))
