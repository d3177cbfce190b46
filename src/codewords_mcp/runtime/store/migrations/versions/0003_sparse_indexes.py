"""Leave out of the indexes of runs what most runs lack: a schedule, a run that started them or that they are of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_sparse_indexes"
down_revision = "0002_recordings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make two anew, as small as they are of use, and one more."""
    for name in ("ix_runs_schedule", "ix_runs_parent"):
        op.drop_index(name, "runs")
    for name, column in (
        ("ix_runs_schedule", "schedule_id"),
        ("ix_runs_parent", "parent_id"),
        ("ix_runs_mode_of", "mode_of"),
    ):
        given = sa.text(f"{column} IS NOT NULL")
        op.create_index(name, "runs", [column], sqlite_where=given, postgresql_where=given)
