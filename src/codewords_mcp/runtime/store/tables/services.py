"""Things that library services store: files, values, mail, apps, MCP servers."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, Text

from codewords_mcp.runtime.store.tables.base import metadata

files = Table(
    "files",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("filename", String(255), nullable=False),
    Column("content_type", String(255)),
    Column("size", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("stored_as", String(64)),
    Column("maker", String(80)),
)

service_values = Table(
    "service_values",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("space", String(32), primary_key=True),
    Column("key", String(512), primary_key=True),
    Column("value", Text, nullable=False),
    Column("expires_at", BigInteger),
    Index("ix_service_values_expires", "expires_at"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("run_id", String(40), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("recipients", JSON, nullable=False),
    Column("subject", Text, nullable=False),
    Column("message", Text, nullable=False),
    Index("ix_outbox_owner", "owner", "created_at"),
)

integrations = Table(
    "integrations",
    metadata,
    Column("project", String(100), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("read_at", BigInteger, nullable=False),
    Column("data", JSON, nullable=False),
)

mcp_servers = Table(
    "mcp_servers",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("url", Text, nullable=False),
    Column("title", String(200), nullable=False),
    Column("transport", String(8), nullable=False),
    Column("auth", String(8), nullable=False),
    Column("believed", Boolean, nullable=False),
    Column("problem", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("agreed_at", BigInteger),
    Column("read_at", BigInteger, nullable=False),
    Column("sign_in", LargeBinary),
    Column("launch", JSON(none_as_null=True)),
)
"""`agreed_at` is null until a person agreed, `read_at` 0 until its tools were read. `sign_in` is sealed. `launch` is of
a server that comes as a package.
"""

mcp_tools = Table(
    "mcp_tools",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("server", String(40), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("data", JSON(none_as_null=True)),
    Column("agreed", JSON(none_as_null=True)),
)
"""`data` is what the server says of a tool now, `agreed` what it said when a person agreed."""

mcp_sign_ins = Table(
    "mcp_sign_ins",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("server", String(40), nullable=False),
    Column("link", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
"""`id` is a digest of the state by which the way back is known; `sealed` is all that its end needs."""
