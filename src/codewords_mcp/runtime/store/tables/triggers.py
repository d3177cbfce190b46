"""Schedules, webhooks, and triggers of event sources with their events."""

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
    UniqueConstraint,
    text,
)

from codewords_mcp.runtime.store.tables.base import metadata

schedules = Table(
    "schedules",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("key_id", String(32)),
    Column("service_id", String(80), nullable=False),
    Column("name", String(200), nullable=False),
    Column("method", String(32), nullable=False),
    Column("path", Text, nullable=False),
    Column("input", JSON),
    Column("cron", String(200)),
    Column("timezone", String(64), nullable=False),
    Column("catch_up", String(8), nullable=False),
    Column("overlap", String(8), nullable=False),
    Column("jitter", Float, nullable=False),
    Column("paused", Boolean, nullable=False),
    # Null in rows from before there were dry runs.
    Column("first_dry", Boolean),
    Column("created_at", BigInteger, nullable=False),
    Column("next_at", BigInteger),
    Column("last_at", BigInteger),
    Column("last_run_id", String(40)),
    Column("missed", Integer, nullable=False),
    Column("held_back", Integer, nullable=False),
    Column("note", Text, nullable=False),
    Column("maker", String(80)),
    Column("made_by", JSON(none_as_null=True)),
    Index("ix_schedules_next", "next_at"),
    Index("ix_schedules_owner", "owner"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("endpoint", String(64), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("key_id", String(32)),
    Column("kind", String(16), nullable=False),
    Column("service_id", String(80), nullable=False),
    Column("path", Text, nullable=False),
    Column("name", String(200), nullable=False),
    Column("filters", JSON, nullable=False),
    Column("secret", String(64)),
    Column("created_at", BigInteger, nullable=False),
    Column("maker", String(80)),
    Column("made_by", JSON(none_as_null=True)),
    # Null in rows from before webhooks could be paused.
    Column("paused", Boolean),
    Index("ix_webhooks_endpoint", "endpoint"),
    Index("ix_webhooks_owner", "owner"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("endpoint", String(64), nullable=False),
    Column("key", String(64), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("event", String(100), nullable=False),
    Column("about", JSON, nullable=False),
    Column("status", String(12), nullable=False),
    Column("reason", Text, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),
    Column("runs", JSON, nullable=False),
    Column("made_by", JSON(none_as_null=True)),
    UniqueConstraint("endpoint", "key", name="uq_webhook_deliveries_key"),
    Index("ix_webhook_deliveries_owner", "owner", "received_at"),
    Index("ix_webhook_deliveries_due", "status", "due_at"),
)

POLLED = "next_at IS NOT NULL AND NOT paused"
"""Condition of triggers whose source is looked at. A query has to say it in these words for SQLite to use the index."""
STARTABLE = "waiting > 0 AND NOT paused"
"""Condition of triggers with events that wait for their runs."""
_POLLED = text(POLLED)
_WAITING = text(STARTABLE)
_WATCHES = text("watches IS NOT NULL")
PENDING = "status = 'pending'"
"""Condition of events that wait for their runs."""
_PENDING = text(PENDING)

triggers = Table(
    "triggers",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("key_id", String(32)),
    Column("kind", String(24), nullable=False),
    Column("service_id", String(80), nullable=False),
    Column("watches", String(80)),
    Column("path", Text, nullable=False),
    Column("name", String(200), nullable=False),
    Column("options", JSON, nullable=False),
    Column("interval_s", Float, nullable=False),
    Column("catch_up", Integer, nullable=False),
    Column("state", JSON(none_as_null=True)),
    Column("paused", Boolean, nullable=False),
    Column("note", Text, nullable=False),
    Column("next_at", BigInteger),
    Column("claim", Integer, nullable=False),
    Column("claimed_until", BigInteger),
    Column("polled_at", BigInteger),
    Column("failures", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    Column("gap", Boolean, nullable=False),
    Column("missed", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("start_at", BigInteger, nullable=False),
    Column("start_failures", Integer, nullable=False),
    Column("last_event_at", BigInteger),
    Column("last_run_id", String(40)),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_triggers_next", "next_at", sqlite_where=_POLLED),
    Index("ix_triggers_start", "start_at", sqlite_where=_WAITING),
    Index("ix_triggers_watches", "watches", sqlite_where=_WATCHES),
    Index("ix_triggers_owner", "owner", "created_at", "id"),
    Index("ix_triggers_service", "service_id"),
)

trigger_events = Table(
    "trigger_events",
    metadata,
    Column("trigger_id", String(40), ForeignKey("triggers.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("status", String(8), nullable=False),
    Column("data", JSON(none_as_null=True)),
    Column("at", BigInteger),
    Column("received_at", BigInteger, nullable=False),
    Column("run_id", String(40)),
    Column("made_by", JSON(none_as_null=True)),
    Column("correlation_id", String(200)),
    Index("ix_trigger_events_seq", "trigger_id", "seq"),
    Index(
        "ix_trigger_events_pending",
        "trigger_id",
        "seq",
        sqlite_where=_PENDING,
    ),
)

UNSETTLED = "due_at IS NOT NULL"
"""Condition of deployments of which something is to be done."""
_UNSETTLED = text(UNSETTLED)
_LIVE = text("target <> 'gone'")

trigger_deployments = Table(
    "trigger_deployments",
    metadata,
    Column("id", String(40), primary_key=True),
    # Without a foreign key: a deployment is removed at the broker after its trigger.
    Column("trigger_id", String(40), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("kind", String(24), nullable=False),
    Column("options", JSON, nullable=False),
    Column("prepared", JSON(none_as_null=True)),
    Column("remote_id", String(120)),
    Column("account", String(100)),
    Column("status", String(8), nullable=False),
    Column("target", String(8), nullable=False),
    Column("address", Text),
    Column("due_at", BigInteger),
    Column("claimed_until", BigInteger),
    Column("tries", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    Column("sent_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Index("uq_trigger_deployments_live", "trigger_id", unique=True, sqlite_where=_LIVE),
    Index("ix_trigger_deployments_due", "due_at", sqlite_where=_UNSETTLED),
)
