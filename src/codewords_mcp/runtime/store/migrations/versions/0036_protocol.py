"""Tasks of the MCP door, what keys are narrowed to, and workflows that are published as tools."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create two tables; keys of before are not narrowed."""
    op.create_table(
        "tasks",
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("principal", sa.String(240), nullable=False),
        sa.Column("tool", sa.String(64), nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("message", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("executor", sa.String(32), nullable=False),
        sa.Column("beat_at", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("asks", sa.Text),
        sa.Column("answers", sa.Text),
        sa.Column("cancel_asked", sa.Boolean, nullable=False),
    )
    op.create_index("ix_tasks_expires", "tasks", ["expires_at"])
    op.add_column("keys", sa.Column("scopes", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("keys", sa.Column("toolsets", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "published",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("tool", sa.String(64), primary_key=True),
        sa.Column("workflow_id", sa.String(80), sa.ForeignKey("workflows.id"), nullable=False),
        sa.Column("toolset", sa.String(32), nullable=False),
        sa.Column("route", sa.String(200), nullable=False),
        sa.Column("method", sa.String(8), nullable=False),
        sa.Column("read_only", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_published_workflow", "published", ["workflow_id"])
