"""Workflows, versions, drafts and published tools."""

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
)

from codewords_mcp.runtime.store.tables.base import metadata

workflows = Table(
    "workflows",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("public", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("active_version", Integer, nullable=False),
    Column("template", String(40)),
    Column("config", JSON(none_as_null=True)),
    UniqueConstraint("owner", "name", name="uq_workflows_owner_name"),
    Index("ix_workflows_owner_updated", "owner", "updated_at", "id"),
)

versions = Table(
    "versions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("workflow_id", String(80), ForeignKey("workflows.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("code", Text, nullable=False),
    Column("code_hash", String(64), nullable=False),
    Column("environment", String(64), nullable=False),
    Column("openapi", JSON, nullable=False),
    Column("checks", JSON, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("manifest", JSON),
    Column("example", JSON(none_as_null=True)),
    # Null in rows from before this was kept.
    Column("deployed_by", Text),
    UniqueConstraint("workflow_id", "number", name="uq_versions_number"),
)

drafts = Table(
    "drafts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("code", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("workflow_id", String(80)),
    Column("base_version", Integer),
    Column("asked", String(64)),
    Column("facts", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("ix_drafts_owner", "owner", "updated_at"),
    Index("ix_drafts_expires", "expires_at"),
)

published = Table(
    "published",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("tool", String(64), primary_key=True),
    Column("workflow_id", String(80), ForeignKey("workflows.id", ondelete="CASCADE"), nullable=False),
    Column("toolset", String(32), nullable=False),
    Column("route", String(200), nullable=False),
    Column("method", String(8), nullable=False),
    Column("read_only", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_published_workflow", "workflow_id"),
)
