"""Recordings of runs, and what is learned from them. Sealed columns are encrypted by `secrets/sealing.py`."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from codewords_mcp.runtime.store.tables.base import metadata

recordings = Table(
    "recordings",
    metadata,
    # Without a foreign key: an imported recording has no run here, and recordings have a retention of their own.
    Column("run_id", String(40), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("service_id", String(80), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("mode", String(16)),
    Column("shape", String(32), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("exchanges", Integer, nullable=False),
    Column("obstacle", Text, nullable=False, default=""),
    Column("pinned", Boolean, nullable=False, default=False),
    Column("imported", Boolean, nullable=False, default=False),
    # Of a recording that is a test of its workflow: what a replay of it has to have in common with it.
    Column("expect", JSON(none_as_null=True)),
    Column("sealed", LargeBinary, nullable=False),
    Index("ix_recordings_service", "owner", "service_id", "created_at"),
    Index("ix_recordings_created", "created_at"),
)

recorded_bodies = Table(
    "recorded_bodies",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

recording_bodies = Table(
    "recording_bodies",
    metadata,
    Column("run_id", String(40), ForeignKey("recordings.run_id", ondelete="CASCADE"), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Index("ix_recording_bodies_digest", "owner", "digest"),
)

recording_journal = Table(
    "recording_journal",
    metadata,
    Column("run_id", String(40), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("state", String(8), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

held_writes = Table(
    "held_writes",
    metadata,
    # Without a foreign key: the row of a call of a library service is written when it has ended.
    Column("list_id", String(40), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("run_id", String(40), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("key", String(64), nullable=False),
    Column("state", String(8), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("answer", LargeBinary),
    Index("ix_held_writes_created", "created_at"),
)

run_traces = Table(
    "run_traces",
    metadata,
    Column("run_id", String(40), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

unread_hosts = Table(
    "unread_hosts",
    metadata,
    Column("service_id", String(80), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("host", String(255), primary_key=True),
    Column("why", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

replays = Table(
    "replays",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("service_id", String(80), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("result", JSON, nullable=False),
    Index("ix_replays_owner", "owner", "service_id", "created_at"),
)
