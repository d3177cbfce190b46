"""Add sign-ins at MCP servers that go on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016_mcp_sign_ins"
down_revision = "0015_config"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "mcp_sign_ins",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("server", sa.String(40), nullable=False),
        sa.Column("link", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
