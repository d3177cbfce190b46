"""Add the audit trail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017_audit"
down_revision = "0016_mcp_sign_ins"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    unsealed = sa.text("seq IS NULL")
    op.create_table(
        "audit_entries",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("seq", sa.BigInteger),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("target", sa.String(200), nullable=False),
        sa.Column("outcome", sa.String(8), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("front_door", sa.String(8), nullable=False),
        sa.Column("operation", sa.String(120), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(200), nullable=False),
        sa.Column("request_id", sa.String(40), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_audit_entries_seq", "audit_entries", ["seq"], unique=True)
    op.create_index(
        "ix_audit_entries_unsealed",
        "audit_entries",
        ["id"],
        sqlite_where=unsealed,
        postgresql_where=unsealed,
    )
    op.create_index("ix_audit_entries_owner", "audit_entries", ["owner", "id"])
    op.create_index("ix_audit_entries_action", "audit_entries", ["action", "id"])
    op.create_index("ix_audit_entries_target", "audit_entries", ["target", "id"])
    op.create_table(
        "audit_blocks",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("sealed_at", sa.BigInteger, nullable=False),
        sa.Column("leaves", sa.LargeBinary),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
