"""Keep the triggers of event sources with their events, and with each run what started it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008_triggers"
down_revision = "0007_alerts"
branch_labels = None
depends_on = None

_POLLED = sa.text("next_at IS NOT NULL AND NOT paused")
_WAITING = sa.text("waiting > 0 AND NOT paused")
_WATCHES = sa.text("watches IS NOT NULL")
_PENDING = sa.text("status = 'pending'")


def upgrade() -> None:
    """Make the tables, which are empty, and the columns of runs."""
    op.create_table(
        "triggers",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(32)),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("service_id", sa.String(80), nullable=False),
        sa.Column("watches", sa.String(80)),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("interval_s", sa.Float, nullable=False),
        sa.Column("catch_up", sa.Integer, nullable=False),
        sa.Column("state", sa.JSON(none_as_null=True)),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("next_at", sa.BigInteger),
        sa.Column("claim", sa.Integer, nullable=False),
        sa.Column("claimed_until", sa.BigInteger),
        sa.Column("polled_at", sa.BigInteger),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("gap", sa.Boolean, nullable=False),
        sa.Column("missed", sa.Integer, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("waiting", sa.Integer, nullable=False),
        sa.Column("start_at", sa.BigInteger, nullable=False),
        sa.Column("start_failures", sa.Integer, nullable=False),
        sa.Column("last_event_at", sa.BigInteger),
        sa.Column("last_run_id", sa.String(40)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "ix_triggers_next", "triggers", ["next_at"], sqlite_where=_POLLED, postgresql_where=_POLLED
    )
    op.create_index(
        "ix_triggers_start", "triggers", ["start_at"], sqlite_where=_WAITING, postgresql_where=_WAITING
    )
    op.create_index(
        "ix_triggers_watches", "triggers", ["watches"], sqlite_where=_WATCHES, postgresql_where=_WATCHES
    )
    op.create_index("ix_triggers_owner", "triggers", ["owner", "created_at", "id"])
    op.create_index("ix_triggers_service", "triggers", ["service_id"])

    op.create_table(
        "trigger_events",
        sa.Column(
            "trigger_id", sa.String(40), sa.ForeignKey("triggers.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("data", sa.JSON(none_as_null=True)),
        sa.Column("at", sa.BigInteger),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("run_id", sa.String(40)),
        sa.Column("made_by", sa.JSON(none_as_null=True)),
        sa.Column("correlation_id", sa.String(200)),
    )
    op.create_index("ix_trigger_events_seq", "trigger_events", ["trigger_id", "seq"])
    pending = ["trigger_id", "seq"]
    op.create_index(
        "ix_trigger_events_pending",
        "trigger_events",
        pending,
        sqlite_where=_PENDING,
        postgresql_where=_PENDING,
    )

    op.add_column("runs", sa.Column("trigger_kind", sa.String(24)))
    op.add_column("runs", sa.Column("trigger_id", sa.String(40)))
    op.add_column("runs", sa.Column("event_key", sa.String(200)))
