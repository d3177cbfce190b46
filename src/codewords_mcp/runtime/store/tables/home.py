"""Facts of the home, its processes and master keys, and tasks of tools."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, DateTime, Index, Integer, String, Table, Text

from codewords_mcp.runtime.store.tables.base import metadata

meta = Table(
    "meta", metadata, Column("name", String(64), primary_key=True), Column("value", Text, nullable=False)
)

marks = Table(
    "marks",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)
"""The last transaction of each writing thread on a shared database."""

executors = Table(
    "executors",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("version", String(32), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("key_ids", JSON),
)

key_use = Table(
    "key_use",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("key_id", String(32), nullable=False),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("principal", String(240), nullable=False),
    Column("tool", String(64), nullable=False),
    Column("arguments", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("message", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("executor", String(32), nullable=False),
    Column("beat_at", BigInteger, nullable=False),
    Column("outcome", Text),
    Column("asks", Text),
    Column("answers", Text),
    Column("cancel_asked", Boolean, nullable=False, default=False),
    Index("ix_tasks_expires", "expires_at"),
)
"""Calls of tools that outlast their request.

`outcome` is the JSON of a result or an error, by `status`.
"""
