"""What was used, by day. It is filled in the background from what is not `summed` yet: at first, from everything."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

_COUNTERS = (
    "calls", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
    "audio_tokens", "image_tokens", "cost", "estimated", "unpriced", "fallbacks", "cached",
)  # fmt: skip
_UNSUMMED = {
    "runs": ("created_at", "summed IS NULL AND status <> 'provisioned'"),
    "model_usage": ("day", "summed IS NULL"),
}


def upgrade() -> None:
    """Create two tables, and mark on two others what is in them. Replicas of the version before may go on meanwhile."""
    op.create_table(
        "usage_days",
        *_subject(80, sa.Column("day", sa.BigInteger, primary_key=True)),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("runs", "succeeded", "failed", "waiting", "starting", "running")
        ),
        sa.Column("cpu_seconds", sa.Float, nullable=False),
        sa.Column("peak_memory", sa.BigInteger),
        sa.Column("cost", sa.Float),
        sa.Column("egress_in", sa.BigInteger, nullable=False),
        sa.Column("egress_out", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "model_usage_days",
        *_subject(220, sa.Column("day", sa.String(10), primary_key=True)),
        sa.Column("by_run", sa.Boolean, primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTERS),
    )
    for table in ("usage_days", "model_usage_days"):
        op.create_index(f"ix_{table}_day", table, ["dimension", "day"])
    for table, (column, which) in _UNSUMMED.items():
        op.add_column(table, sa.Column("summed", sa.Boolean))
        where = sa.text(which)
        op.create_index(f"ix_{table}_unsummed", table, [column], sqlite_where=where, postgresql_where=where)


def _subject(length: int, day: sa.Column[object]) -> list[sa.Column[object]]:
    return [
        sa.Column("dimension", sa.String(8), primary_key=True),
        sa.Column("subject", sa.String(length), primary_key=True),
        sa.Column("owner", sa.String(64), primary_key=True),
        day,
    ]
