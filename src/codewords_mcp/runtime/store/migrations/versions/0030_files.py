"""The name under which a file's bytes are stored: each upload has its own, so that bytes are there before the row says so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Files of before are stored under their id."""
    op.add_column("files", sa.Column("stored_as", sa.String(64)))
