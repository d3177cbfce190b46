"""Add MCP servers and their tools."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012_mcp_servers"
down_revision = "0011_question_messages"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "mcp_servers",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("transport", sa.String(8), nullable=False),
        sa.Column("auth", sa.String(8), nullable=False),
        sa.Column("believed", sa.Boolean, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("agreed_at", sa.BigInteger),
        sa.Column("read_at", sa.BigInteger, nullable=False),
        sa.Column("sign_in", sa.LargeBinary),
    )
    op.create_table(
        "mcp_tools",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("server", sa.String(40), primary_key=True),
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("data", sa.JSON),
        sa.Column("agreed", sa.JSON),
    )
