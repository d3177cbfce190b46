"""Model calls: fallbacks and cached answers counted, lists of models on keys, budgets that replicas share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns, and the table of accounts."""
    for name in ("fallbacks", "cached"):
        op.add_column("model_usage", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("keys", sa.Column("models", sa.JSON))
    op.add_column("model_reservations", sa.Column("executor", sa.String(32)))
    op.add_column("model_reservations", sa.Column("budgets", sa.JSON))
    op.create_table(
        "budget_accounts",
        sa.Column("id", sa.String(110), primary_key=True),
        sa.Column("since", sa.String(10), nullable=False),
        sa.Column("spent", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
    )
