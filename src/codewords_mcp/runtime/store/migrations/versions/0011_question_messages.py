"""Keep the messages of questions to people beside the inbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_question_messages"
down_revision = "0008_triggers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, which is empty."""
    op.create_table(
        "question_messages",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column(
            "wait_id", sa.String(40), sa.ForeignKey("run_waits.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("channel", sa.String(8), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("event", sa.String(8), nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("sent_at", sa.BigInteger),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.UniqueConstraint("wait_id", "channel", "target", name="uq_question_messages_target"),
    )
    op.create_index("ix_question_messages_due", "question_messages", ["due_at"])
