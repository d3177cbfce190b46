"""Keep with each version who deployed it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_deployers"
down_revision = "0003_sparse_indexes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, which is empty for versions that are there already."""
    op.add_column("versions", sa.Column("deployed_by", sa.Text))
