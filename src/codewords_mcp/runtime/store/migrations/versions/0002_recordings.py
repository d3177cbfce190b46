"""Add recordings of runs, their traces and replays, and the mode of a run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_recordings"
down_revision = "0001_initial"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and the new columns of `runs`, which are empty for ordinary runs."""
    op.add_column("runs", sa.Column("mode", sa.String(16)))
    op.add_column("runs", sa.Column("mode_of", sa.String(40)))
    op.add_column("runs", sa.Column("trace_parent", sa.String(64)))
    replays = sa.text("mode = 'replay'")
    op.create_index("ix_runs_replays", "runs", ["created_at"], sqlite_where=replays, postgresql_where=replays)
    op.add_column("schedules", sa.Column("first_dry", sa.Boolean))
    op.create_table(
        "recordings",
        sa.Column("run_id", sa.String(40), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("service_id", sa.String(80), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("mode", sa.String(16)),
        sa.Column("shape", sa.String(32), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("exchanges", sa.Integer, nullable=False),
        sa.Column("obstacle", sa.Text, nullable=False),
        sa.Column("pinned", sa.Boolean, nullable=False),
        sa.Column("imported", sa.Boolean, nullable=False),
        sa.Column("expect", sa.JSON(none_as_null=True)),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_recordings_service", "recordings", ["owner", "service_id", "created_at"])
    op.create_index("ix_recordings_created", "recordings", ["created_at"])
    op.create_table(
        "recorded_bodies",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "recording_bodies",
        sa.Column(
            "run_id", sa.String(40), sa.ForeignKey("recordings.run_id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
    )
    op.create_index("ix_recording_bodies_digest", "recording_bodies", ["owner", "digest"])
    op.create_table(
        "recording_journal",
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "held_writes",
        sa.Column("list_id", sa.String(40), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.LargeBinary),
    )
    op.create_index("ix_held_writes_created", "held_writes", ["created_at"])
    op.create_table(
        "run_traces",
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "unread_hosts",
        sa.Column("service_id", sa.String(80), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "replays",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("service_id", sa.String(80), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("result", sa.JSON, nullable=False),
    )
    op.create_index("ix_replays_owner", "replays", ["owner", "service_id", "created_at"])
