"""Model calls: what they used and cost, what is reserved for those in flight, and budgets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0005"
branch_labels = None
depends_on = None

_COUNTERS = (
    "calls", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
    "audio_tokens", "image_tokens", "cost", "estimated", "unpriced",
)  # fmt: skip


def upgrade() -> None:
    """Create the three tables."""
    op.create_table(
        "model_usage",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("service_id", sa.String(80), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("nested", sa.Boolean, nullable=False),
        sa.Column("provider", sa.String(16), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTERS),
    )
    op.create_index("ix_model_usage_day", "model_usage", ["day"])
    op.create_index("ix_model_usage_run", "model_usage", ["run_id"])
    op.create_table(
        "model_reservations",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("accounts", sa.JSON, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "budgets",
        sa.Column("scope", sa.String(16), primary_key=True),
        sa.Column("subject", sa.String(80), primary_key=True),
        sa.Column("period", sa.String(8), primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
