"""Create the tables of the first release."""

from __future__ import annotations

from alembic import op

from codewords_mcp.runtime.store.migrations import initial_schema

revision = "0001_initial"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """See `initial_schema`."""
    initial_schema.create(op.get_bind())
