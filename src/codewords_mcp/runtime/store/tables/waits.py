"""Things that runs wait for: answers of people, webhooks and times; and the messages of questions."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

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
    Index("ix_run_waits_due", "due_at", sqlite_where=text(OPEN)),
    Index(
        "ix_run_waits_owner",
        "owner",
        "created_at",
        "id",
        sqlite_where=text(OPEN),
    ),
    Index("ix_run_waits_untaken", "run_id", sqlite_where=text(UNTAKEN)),
)

question_messages = Table(
    "question_messages",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("wait_id", String(40), ForeignKey("run_waits.id", ondelete="CASCADE"), nullable=False),
    Column("channel", String(8), nullable=False),
    Column("target", Text, nullable=False),
    Column("event", String(8), nullable=False),
    # At the receiver: of a Slack message, its channel and time.
    Column("reference", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    Column("sent_at", BigInteger),
    Column("tries", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    UniqueConstraint("wait_id", "channel", "target", name="uq_question_messages_target"),
    Index("ix_question_messages_due", "due_at"),
)
"""A question to each person that it is sent to. `due_at` is null while nothing is to be sent."""
