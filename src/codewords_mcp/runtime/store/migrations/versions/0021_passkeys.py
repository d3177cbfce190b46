"""Add passkeys of members."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021_passkeys"
down_revision = "0020_secret_ends"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "passkeys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("member", sa.String(32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("rp_id", sa.String(253), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("credential_id", sa.LargeBinary, nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("sign_count", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
    )
    op.create_index("ix_passkeys_member", "passkeys", ["member"])
