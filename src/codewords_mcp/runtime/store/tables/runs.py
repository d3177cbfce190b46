"""Runs, with their requests and logs."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)

from codewords_mcp.runtime.store.tables.base import metadata

OF_A_RUN = "mode_of IS NOT NULL"
"""Condition of runs that repeat, apply or go on with another one."""
REPLAYS = "mode = 'replay'"
"""Condition of replays, which are removed soon."""
SCHEDULED = "schedule_id IS NOT NULL"
"""Condition of runs that a schedule started."""
STARTED_BY_RUN = "parent_id IS NOT NULL"
"""Condition of runs that another run started."""
UNSUMMED = "summed IS NULL AND status <> 'provisioned'"
"""Condition of runs whose usage is not in `usage_days` yet (`summing.py`)."""

runs = Table(
    "runs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("service_id", String(80)),
    Column("version", Integer),
    Column("status", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("completed_at", BigInteger),
    Column("response_status", Integer),
    Column("response_content", Text),
    Column("response_json", JSON),
    Column("response_truncated", Boolean, nullable=False, default=False),
    Column("correlation_id", String(200)),
    Column("parent_id", String(40)),
    Column("idempotency_key", String(200)),
    Column("error", JSON),
    Column("attempts", JSON, nullable=False),
    Column("steps", JSON, nullable=False),
    Column("usage", JSON, nullable=False),
    Column("timings", JSON, nullable=False),
    Column("isolation", String(8)),
    Column("background", Boolean, nullable=False, default=False),
    Column("executor", String(32)),
    Column("running_at", BigInteger),
    Column("retries", Integer, nullable=False, default=0),
    Column("in_queue", Boolean, nullable=False, default=False),
    Column("deliveries", Integer, nullable=False, default=0),
    Column("depth", Integer, nullable=False, default=0),
    Column("priority", Integer, nullable=False, default=50),
    Column("not_before", BigInteger),
    Column("cancel_asked", Boolean, nullable=False, default=False),
    Column("schedule_id", String(40)),
    Column("key_id", String(32)),
    Column("cpu_seconds", Float),
    Column("peak_memory", BigInteger),
    Column("cost", Float),
    Column("waits_for", String(16)),
    Column("egress_in", BigInteger),
    Column("egress_out", BigInteger),
    Column("summed", Boolean),
    Column("input", JSON(none_as_null=True)),
    Column("response_file", JSON(none_as_null=True)),
    Column("made_by", JSON(none_as_null=True)),
    Column("mode", String(16)),
    Column("mode_of", String(40)),
    Column("trace_parent", String(64)),
    Column("trigger_kind", String(24)),
    Column("trigger_id", String(40)),
    Column("event_key", String(200)),
    # Most runs have neither: an entry for each would be a page more to write for it.
    Index("ix_runs_schedule", "schedule_id", sqlite_where=text(SCHEDULED)),
    Index(
        "ix_runs_parent",
        "parent_id",
        sqlite_where=text(STARTED_BY_RUN),
    ),
    Index("ix_runs_mode_of", "mode_of", sqlite_where=text(OF_A_RUN)),
    Index("ix_runs_owner_created", "owner", "created_at", "id"),
    Index("ix_runs_owner_service", "owner", "service_id", "created_at", "id"),
    Index("ix_runs_created", "created_at"),
    Index("ix_runs_unsummed", "created_at", sqlite_where=text(UNSUMMED)),
    Index("ix_runs_replays", "created_at", sqlite_where=text(REPLAYS)),
    Index("ix_runs_status_owner", "status", "owner", "created_at", "id"),
    Index(
        "uq_runs_idempotency",
        "owner",
        "service_id",
        "idempotency_key",
        unique=True,
    ),
)

run_requests = Table(
    "run_requests",
    metadata,
    Column("run_id", String(40), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("method", String(32), nullable=False),
    Column("path", Text, nullable=False),
    Column("query", LargeBinary, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("timeout", Float),
    Column("caller_kind", String(16), nullable=False),
)

log_chunks = Table(
    "log_chunks",
    metadata,
    Column("run_id", String(40), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("first_seq", Integer, primary_key=True),
    Column("lines", Integer, nullable=False),
    Column("body", Text, nullable=False),
)
