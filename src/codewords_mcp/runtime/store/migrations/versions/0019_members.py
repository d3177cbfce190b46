"""Add members of the home, and the member that a key belongs to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019_members"
down_revision = "0018_secret_sources"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and the column."""
    op.create_table(
        "members",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(64), unique=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("joined_at", sa.BigInteger),
        sa.Column("invite_hash", sa.String(64), unique=True),
        sa.Column("invited_until", sa.BigInteger),
    )
    op.add_column("keys", sa.Column("member", sa.String(32)))
    op.create_index("ix_keys_member", "keys", ["member"])
