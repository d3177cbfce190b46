"""Drafts, the example input of a version, workflows that are templates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, add the columns."""
    op.create_table(
        "drafts",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("workflow_id", sa.String(80)),
        sa.Column("base_version", sa.Integer),
        sa.Column("asked", sa.String(64)),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_drafts_owner", "drafts", ["owner", "updated_at"])
    op.create_index("ix_drafts_expires", "drafts", ["expires_at"])
    op.add_column("workflows", sa.Column("template", sa.String(40)))
    op.add_column("versions", sa.Column("example", sa.JSON(none_as_null=True)))
