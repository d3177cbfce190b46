"""Things that runs wait for: answers of people, and times."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, String, Table, Text, text

from codewords_mcp.runtime.store.tables.base import metadata

OPEN = "status = 'open'"
"""Condition of waits that go on."""
UNTAKEN = "status <> 'open' AND NOT taken"
"""Condition of waits that are over, and of which the run does not know."""

run_waits = Table(
    "run_waits",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("run_id", String(40), ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    # Of the call within its run: a resumed attempt finds the question that was asked.
    Column("key", String(64), nullable=False),
    Column("service_id", String(80), nullable=False),
    Column("title", Text, nullable=False),
    Column("question", JSON, nullable=False),
    Column("resumable", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("status", String(12), nullable=False),
    Column("answer", JSON(none_as_null=True)),
    Column("closed_at", BigInteger),
    Column("closed_by", String(64)),
    Column("closed_from", Text),
    Column("taken", Boolean, nullable=False),
    Index("uq_run_waits_key", "run_id", "key", unique=True),
    Index("ix_run_waits_due", "due_at", sqlite_where=text(OPEN), postgresql_where=text(OPEN)),
    Index(
        "ix_run_waits_owner",
        "owner",
        "created_at",
        "id",
        sqlite_where=text(OPEN),
        postgresql_where=text(OPEN),
    ),
    Index("ix_run_waits_untaken", "run_id", sqlite_where=text(UNTAKEN), postgresql_where=text(UNTAKEN)),
)
