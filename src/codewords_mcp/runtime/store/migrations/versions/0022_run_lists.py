"""Lists by status, and counts of an owner's runs, from one index, also among a million runs."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Another index in the place of the one on the status alone."""
    op.drop_index("ix_runs_status", "runs")
    op.create_index("ix_runs_status_owner", "runs", ["status", "owner", "created_at"])
