"""Alerts, what they are made of, and their messages."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, String, Table, Text, UniqueConstraint

from codewords_mcp.runtime.store.tables.base import metadata

alert_causes = Table(
    "alert_causes",
    metadata,
    Column("id", String(120), primary_key=True),
    Column("kind", String(24), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("detail", JSON, nullable=False),
    Index("ix_alert_causes_at", "at"),
)
"""Failures that no alert counts yet: written with the failure, in one transaction."""

alerts = Table(
    "alerts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("subject", String(240), nullable=False),
    Column("kind", String(24), nullable=False),
    Column("status", String(12), nullable=False),
    Column("title", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("service_id", String(80)),
    Column("schedule_id", String(40)),
    Column("run_id", String(40)),
    Column("detail", JSON, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("resolved_at", BigInteger),
    Column("notified_at", BigInteger),
    UniqueConstraint("owner", "subject", name="uq_alerts_subject"),
    Index("ix_alerts_owner", "owner", "status", "last_at"),
)

alert_settings = Table(
    "alert_settings",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("settings", JSON, nullable=False),
)

alert_messages = Table(
    "alert_messages",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("alert_id", String(40), nullable=False),
    Column("channel", String(8), nullable=False),
    Column("event", String(12), nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    UniqueConstraint("alert_id", "channel", name="uq_alert_messages_channel"),
    Index("ix_alert_messages_due", "due_at"),
)
"""Messages that wait to be sent: one of an alert for each channel at the most."""
