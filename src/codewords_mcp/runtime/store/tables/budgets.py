"""Budgets for model calls, reservations of calls in flight, quotas of owners and what they store."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Integer, String, Table

from codewords_mcp.runtime.store.tables.base import metadata

model_reservations = Table(
    "model_reservations",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("opened_at", BigInteger, nullable=False),
    Column("accounts", JSON, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("executor", String(32)),
    Column("budgets", JSON),
)

budget_accounts = Table(
    "budget_accounts",
    metadata,
    Column("id", String(110), primary_key=True),
    Column("since", String(10), nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
)

budgets = Table(
    "budgets",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("subject", String(80), primary_key=True),
    Column("period", String(8), primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

owner_quotas = Table(
    "owner_quotas",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("concurrency", Integer),
    Column("queue_limit", Integer),
    Column("runs_per_hour", Integer),
    Column("runs_per_day", Integer),
    Column("memory", BigInteger),
    Column("storage", BigInteger),
    Column("updated_at", BigInteger, nullable=False),
)

owner_storage = Table(
    "owner_storage",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("bytes", JSON, nullable=False),
    Column("measured_at", BigInteger, nullable=False),
)
"""Storage of owners beside their files, by kind, as it was last measured."""
