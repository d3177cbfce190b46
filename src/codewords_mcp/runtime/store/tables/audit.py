"""The audit trail: entries, and the blocks that seal them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text, text

from codewords_mcp.runtime.store.tables.base import metadata

UNSEALED = "seq IS NULL"
"""Condition of entries that no block seals yet."""
_UNSEALED = text(UNSEALED)

audit_entries = Table(
    "audit_entries",
    metadata,
    # Without AUTOINCREMENT, SQLite gives the id of a removed last row again.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("seq", BigInteger),
    Column("at", BigInteger, nullable=False),
    Column("owner", String(64), nullable=False),
    Column("action", String(40), nullable=False),
    Column("target", String(200), nullable=False),
    Column("outcome", String(8), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("actor_kind", String(16), nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("run_id", String(40), nullable=False),
    Column("front_door", String(8), nullable=False),
    Column("operation", String(120), nullable=False),
    Column("address", String(64), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("request_id", String(40), nullable=False),
    Column("detail", Text, nullable=False),
    Index("uq_audit_entries_seq", "seq", unique=True),
    Index("ix_audit_entries_unsealed", "id", sqlite_where=_UNSEALED),
    Index("ix_audit_entries_owner", "owner", "id"),
    Index("ix_audit_entries_action", "action", "id"),
    Index("ix_audit_entries_target", "target", "id"),
    sqlite_autoincrement=True,
)

audit_blocks = Table(
    "audit_blocks",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("sealed_at", BigInteger, nullable=False),
    # A digest of 32 bytes for each entry; null in the last block that retention removed.
    Column("leaves", LargeBinary),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
