"""Add the triggers that a broker runs for event sources."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014_trigger_deployments"
down_revision = "0013_mcp_packages"
branch_labels = None
depends_on = None
_LIVE = sa.text("target <> 'gone'")
_UNSETTLED = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "trigger_deployments",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("trigger_id", sa.String(40), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("prepared", sa.JSON(none_as_null=True)),
        sa.Column("remote_id", sa.String(120)),
        sa.Column("account", sa.String(100)),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("target", sa.String(8), nullable=False),
        sa.Column("address", sa.Text),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("claimed_until", sa.BigInteger),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("sent_at", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "uq_trigger_deployments_live",
        "trigger_deployments",
        ["trigger_id"],
        unique=True,
        sqlite_where=_LIVE,
        postgresql_where=_LIVE,
    )
    op.create_index(
        "ix_trigger_deployments_due",
        "trigger_deployments",
        ["due_at"],
        sqlite_where=_UNSETTLED,
        postgresql_where=_UNSETTLED,
    )
