"""Keep what runs wait for: answers of people, and times."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_run_waits"
down_revision = "0005_paused_webhooks"
branch_labels = None
depends_on = None

_OPEN = sa.text("status = 'open'")
_UNTAKEN = sa.text("status <> 'open' AND NOT taken")


def upgrade() -> None:
    """Make the table, which is empty."""
    op.create_table(
        "run_waits",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("service_id", sa.String(80), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("question", sa.JSON, nullable=False),
        sa.Column("resumable", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("answer", sa.JSON(none_as_null=True)),
        sa.Column("closed_at", sa.BigInteger),
        sa.Column("closed_by", sa.String(64)),
        sa.Column("closed_from", sa.Text),
        sa.Column("taken", sa.Boolean, nullable=False),
    )
    op.create_index("uq_run_waits_key", "run_waits", ["run_id", "key"], unique=True)
    op.create_index("ix_run_waits_due", "run_waits", ["due_at"], sqlite_where=_OPEN, postgresql_where=_OPEN)
    owner = ["owner", "created_at", "id"]
    op.create_index("ix_run_waits_owner", "run_waits", owner, sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_index(
        "ix_run_waits_untaken", "run_waits", ["run_id"], sqlite_where=_UNTAKEN, postgresql_where=_UNTAKEN
    )
