"""Tables of usage, beside the usage columns of each run."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, String, Table, text

from codewords_mcp.runtime.store.tables import metadata

COUNTERS = (
    "calls", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
    "audio_tokens", "image_tokens", "cost", "estimated", "unpriced", "fallbacks", "cached",
)  # fmt: skip
"""`cost` is in picodollars.

`estimated`, `unpriced`, `fallbacks` (another model answered) and `cached` count calls.
"""

RETENTION_DAYS = 3660
"""Days of which there are sums."""


def _counters() -> list[Column[int]]:
    later = {"fallbacks", "cached"}  # columns of a later version
    return [
        Column(name, BigInteger, nullable=False, server_default="0" if name in later else None)
        for name in COUNTERS
    ]


model_usage = Table(
    "model_usage",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("day", String(10), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("service_id", String(80), nullable=False),
    Column("key_id", String(32), nullable=False),
    Column("run_id", String(40), nullable=False),
    Column("nested", Boolean, nullable=False),
    Column("provider", String(16), nullable=False),
    Column("model", String(200), nullable=False),
    *_counters(),
    Column("summed", Boolean),
    Index("ix_model_usage_day", "day"),
    Index("ix_model_usage_run", "run_id"),
    Index(
        "ix_model_usage_unsummed",
        "day",
        sqlite_where=text("summed IS NULL"),
    ),
)

model_usage_days = Table(
    "model_usage_days",
    metadata,
    Column("dimension", String(8), primary_key=True),
    Column("subject", String(220), primary_key=True),
    Column("owner", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("by_run", Boolean, primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in COUNTERS),
    Index("ix_model_usage_days_day", "dimension", "day"),
)
"""`model_usage` by day, in each dimension: a workflow, a key, a model (`provider/model`), or all
("").
"""

usage_days = Table(
    "usage_days",
    metadata,
    Column("dimension", String(8), primary_key=True),
    Column("subject", String(80), primary_key=True),
    Column("owner", String(64), primary_key=True),
    Column("day", BigInteger, primary_key=True),
    Column("runs", BigInteger, nullable=False),
    Column("succeeded", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("waiting", BigInteger, nullable=False),
    Column("starting", BigInteger, nullable=False),
    Column("running", BigInteger, nullable=False),
    Column("cpu_seconds", Float, nullable=False),
    Column("peak_memory", BigInteger),
    Column("cost", Float),
    Column("egress_in", BigInteger, nullable=False),
    Column("egress_out", BigInteger, nullable=False),
    Index("ix_usage_days_day", "dimension", "day"),
)
"""Usage of the runs accepted on a day, in each dimension: a workflow, a key, or all.

`day` is its first µs in UTC; `waiting`, `starting` and `running` are µs.
"""
