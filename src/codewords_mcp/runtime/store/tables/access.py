"""Keys, secrets, links, agreements, sign-ins and paired browsers."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from codewords_mcp.runtime.store.tables.base import metadata

keys = Table(
    "keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("prefix", String(16), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("one_time", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("used_at", BigInteger),
    Column("revoked", Boolean, nullable=False, default=False),
    Column("models", JSON),
    Column("scopes", JSON(none_as_null=True)),
    Column("toolsets", JSON(none_as_null=True)),
    Column("member", String(32)),
    Index("ix_keys_member", "member"),
)

members = Table(
    "members",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("subject", String(64), unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("joined_at", BigInteger),
    Column("invite_hash", String(64), unique=True),
    Column("invited_until", BigInteger),
)
"""Members of the home. `subject` is a digest of issuer and subject of who signs in elsewhere."""

passkeys = Table(
    "passkeys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("member", String(32), nullable=False),
    Column("name", String(64), nullable=False),
    Column("rp_id", String(253), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("credential_id", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Index("ix_passkeys_member", "member"),
)
"""Passkeys of members. `digest` is of the credential's id, `rp_id` the host name that it is for, `public_key` a COSE key."""

secrets = Table(
    "secrets",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("key_id", String(32), nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("rule", JSON(none_as_null=True), nullable=True),
    Column("source", Text),
    Column("expires_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

links = Table(
    "links",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("key_id", String(32), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("answer", String(16)),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("ix_links_subject", "kind", "owner", "subject"),
    Index("ix_links_expires", "expires_at"),
)

agreements = Table(
    "agreements",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("workflow_id", String(80), ForeignKey("workflows.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("manifest", JSON, nullable=False),
    Column("agreed_at", BigInteger, nullable=False),
)
"""Agreements of owners to run workflows of other owners. `digest` is of the manifest."""

logins = Table(
    "logins",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("app", String(80), nullable=False),
    Column("email", String(320), nullable=False),
    Column("code", String(64)),
    Column("link", String(64), unique=True),
    Column("ticket", String(64), unique=True),
    Column("title", String(100), nullable=False),
    Column("return_url", Text, nullable=False),
    Column("session_seconds", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("ix_logins_app", "owner", "app", "created_at"),
    Index("ix_logins_created", "created_at"),
)

login_sessions = Table(
    "login_sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("app", String(80), nullable=False),
    Column("email", String(320), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("ix_login_sessions_expires", "expires_at"),
)

browsers = Table(
    "browsers",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("name", String(120), nullable=False),
    Column("version", String(32), nullable=False),
    Column("url", String(300), nullable=False),
    Column("paired_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("executor", String(32)),
)
"""Paired Chromes of people.

`executor` is the process that the browser is connected to, `url` the address of its runtime.
"""
