"""Add an index by which the list of workflows is read: one page, however many there are."""

from __future__ import annotations

from alembic import op

revision = "0024_workflow_list"
down_revision = "0022_owner_quotas"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    op.create_index("ix_workflows_owner_updated", "workflows", ["owner", "updated_at", "id"])
