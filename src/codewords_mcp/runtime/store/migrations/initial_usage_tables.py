"""The tables of usage and budgets of the first release. Frozen: later changes are later migrations."""

from __future__ import annotations

import sqlalchemy as sa

from codewords_mcp.runtime.store.migrations.initial_tables import metadata

sa.Table(
    "budget_accounts",
    metadata,
    sa.Column("id", sa.String(110), primary_key=True),
    sa.Column("since", sa.String(10), nullable=False),
    sa.Column("spent", sa.BigInteger, nullable=False),
    sa.Column("reserved", sa.BigInteger, nullable=False),
)

sa.Table(
    "budgets",
    metadata,
    sa.Column("scope", sa.String(16), primary_key=True),
    sa.Column("subject", sa.String(80), primary_key=True),
    sa.Column("period", sa.String(8), primary_key=True),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)

sa.Table(
    "model_reservations",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("opened_at", sa.BigInteger, nullable=False),
    sa.Column("accounts", sa.JSON, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("executor", sa.String(32)),
    sa.Column("budgets", sa.JSON),
)

sa.Table(
    "model_usage",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("day", sa.String(10), nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("service_id", sa.String(80), nullable=False),
    sa.Column("key_id", sa.String(32), nullable=False),
    sa.Column("run_id", sa.String(40), nullable=False),
    sa.Column("nested", sa.Boolean, nullable=False),
    sa.Column("provider", sa.String(16), nullable=False),
    sa.Column("model", sa.String(200), nullable=False),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Column("input_tokens", sa.BigInteger, nullable=False),
    sa.Column("output_tokens", sa.BigInteger, nullable=False),
    sa.Column("cache_read_tokens", sa.BigInteger, nullable=False),
    sa.Column("cache_write_tokens", sa.BigInteger, nullable=False),
    sa.Column("reasoning_tokens", sa.BigInteger, nullable=False),
    sa.Column("audio_tokens", sa.BigInteger, nullable=False),
    sa.Column("image_tokens", sa.BigInteger, nullable=False),
    sa.Column("cost", sa.BigInteger, nullable=False),
    sa.Column("estimated", sa.BigInteger, nullable=False),
    sa.Column("unpriced", sa.BigInteger, nullable=False),
    sa.Column("fallbacks", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("cached", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("summed", sa.Boolean),
    sa.Index("ix_model_usage_day", "day"),
    sa.Index("ix_model_usage_run", "run_id"),
    sa.Index(
        "ix_model_usage_unsummed",
        "day",
        sqlite_where=sa.text("summed IS NULL"),
        postgresql_where=sa.text("summed IS NULL"),
    ),
)

sa.Table(
    "model_usage_days",
    metadata,
    sa.Column("dimension", sa.String(8), primary_key=True),
    sa.Column("subject", sa.String(220), primary_key=True),
    sa.Column("owner", sa.String(64), primary_key=True),
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("by_run", sa.Boolean, primary_key=True),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Column("input_tokens", sa.BigInteger, nullable=False),
    sa.Column("output_tokens", sa.BigInteger, nullable=False),
    sa.Column("cache_read_tokens", sa.BigInteger, nullable=False),
    sa.Column("cache_write_tokens", sa.BigInteger, nullable=False),
    sa.Column("reasoning_tokens", sa.BigInteger, nullable=False),
    sa.Column("audio_tokens", sa.BigInteger, nullable=False),
    sa.Column("image_tokens", sa.BigInteger, nullable=False),
    sa.Column("cost", sa.BigInteger, nullable=False),
    sa.Column("estimated", sa.BigInteger, nullable=False),
    sa.Column("unpriced", sa.BigInteger, nullable=False),
    sa.Column("fallbacks", sa.BigInteger, nullable=False),
    sa.Column("cached", sa.BigInteger, nullable=False),
    sa.Index("ix_model_usage_days_day", "dimension", "day"),
)

usage_days = sa.Table(
    "usage_days",
    metadata,
    sa.Column("dimension", sa.String(8), primary_key=True),
    sa.Column("subject", sa.String(80), primary_key=True),
    sa.Column("owner", sa.String(64), primary_key=True),
    sa.Column("day", sa.BigInteger, primary_key=True),
    sa.Column("runs", sa.BigInteger, nullable=False),
    sa.Column("succeeded", sa.BigInteger, nullable=False),
    sa.Column("failed", sa.BigInteger, nullable=False),
    sa.Column("waiting", sa.BigInteger, nullable=False),
    sa.Column("starting", sa.BigInteger, nullable=False),
    sa.Column("running", sa.BigInteger, nullable=False),
    sa.Column("cpu_seconds", sa.Float, nullable=False),
    sa.Column("peak_memory", sa.BigInteger),
    sa.Column("cost", sa.Float),
    sa.Column("egress_in", sa.BigInteger, nullable=False),
    sa.Column("egress_out", sa.BigInteger, nullable=False),
    sa.Index("ix_usage_days_day", "dimension", "day"),
)
