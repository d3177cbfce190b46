"""The tables of the first release, except for usage (`initial_usage_tables.py`).

Frozen: later changes are later migrations.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

UNIQUE_IDEMPOTENCY = (
    sa.UniqueConstraint("owner", "service_id", "idempotency_key", name="uq_runs_idempotency").ddl_if(
        "sqlite"
    ),
    sa.Index(
        "uq_runs_idempotency",
        "owner",
        "service_id",
        "idempotency_key",
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    ).ddl_if("postgresql"),
)
"""SQLite must not choose this index for lists; it ignores one that belongs to a constraint."""

sa.Table(
    "browsers",
    metadata,
    sa.Column("owner", sa.String(64), primary_key=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("name", sa.String(120), nullable=False),
    sa.Column("version", sa.String(32), nullable=False),
    sa.Column("url", sa.String(300), nullable=False),
    sa.Column("paired_at", sa.BigInteger, nullable=False),
    sa.Column("seen_at", sa.BigInteger, nullable=False),
    sa.Column("executor", sa.String(32)),
)

sa.Table(
    "drafts",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("workflow_id", sa.String(80)),
    sa.Column("base_version", sa.Integer),
    sa.Column("asked", sa.String(64)),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("ix_drafts_expires", "expires_at"),
    sa.Index("ix_drafts_owner", "owner", "updated_at"),
)

sa.Table(
    "executors",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("version", sa.String(32), nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("seen_at", sa.BigInteger, nullable=False),
    sa.Column("key_ids", sa.JSON),
)

sa.Table(
    "files",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("filename", sa.String(255), nullable=False),
    sa.Column("content_type", sa.String(255)),
    sa.Column("size", sa.BigInteger),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("stored_as", sa.String(64)),
    sa.Column("maker", sa.String(80)),
)

sa.Table(
    "integrations",
    metadata,
    sa.Column("project", sa.String(100), primary_key=True),
    sa.Column("kind", sa.String(8), primary_key=True),
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("read_at", sa.BigInteger, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
)

sa.Table(
    "key_use",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key_id", sa.String(32), nullable=False),
)

sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("prefix", sa.String(16), nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("one_time", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("used_at", sa.BigInteger),
    sa.Column("revoked", sa.Boolean, nullable=False),
    sa.Column("models", sa.JSON),
    sa.Column("scopes", sa.JSON),
    sa.Column("toolsets", sa.JSON),
)

sa.Table(
    "links",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(64), nullable=False),
    sa.Column("key_id", sa.String(32), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("answer", sa.String(16)),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("ix_links_expires", "expires_at"),
    sa.Index("ix_links_subject", "kind", "owner", "subject"),
)

sa.Table(
    "login_sessions",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("app", sa.String(80), nullable=False),
    sa.Column("email", sa.String(320), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("ix_login_sessions_expires", "expires_at"),
)

sa.Table(
    "logins",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("app", sa.String(80), nullable=False),
    sa.Column("email", sa.String(320), nullable=False),
    sa.Column("code", sa.String(64)),
    sa.Column("link", sa.String(64), unique=True),
    sa.Column("ticket", sa.String(64), unique=True),
    sa.Column("title", sa.String(100), nullable=False),
    sa.Column("return_url", sa.Text, nullable=False),
    sa.Column("session_seconds", sa.Integer, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("ix_logins_app", "owner", "app", "created_at"),
    sa.Index("ix_logins_created", "created_at"),
)

sa.Table(
    "marks",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
)

sa.Table(
    "meta",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("run_id", sa.String(40), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("recipients", sa.JSON, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Index("ix_outbox_owner", "owner", "created_at"),
)

sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("service_id", sa.String(80)),
    sa.Column("version", sa.Integer),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("started_at", sa.BigInteger),
    sa.Column("completed_at", sa.BigInteger),
    sa.Column("response_status", sa.Integer),
    sa.Column("response_content", sa.Text),
    sa.Column("response_json", sa.JSON),
    sa.Column("response_truncated", sa.Boolean, nullable=False),
    sa.Column("correlation_id", sa.String(200)),
    sa.Column("parent_id", sa.String(40)),
    sa.Column("idempotency_key", sa.String(200)),
    sa.Column("error", sa.JSON),
    sa.Column("attempts", sa.JSON, nullable=False),
    sa.Column("steps", sa.JSON, nullable=False),
    sa.Column("usage", sa.JSON, nullable=False),
    sa.Column("timings", sa.JSON, nullable=False),
    sa.Column("isolation", sa.String(8)),
    sa.Column("background", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("executor", sa.String(32)),
    sa.Column("running_at", sa.BigInteger),
    sa.Column("retries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("in_queue", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("deliveries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("depth", sa.Integer, nullable=False, server_default="0"),
    sa.Column("priority", sa.Integer, nullable=False, server_default="50"),
    sa.Column("not_before", sa.BigInteger),
    sa.Column("cancel_asked", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("schedule_id", sa.String(40)),
    sa.Column("key_id", sa.String(32)),
    sa.Column("cpu_seconds", sa.Float),
    sa.Column("peak_memory", sa.BigInteger),
    sa.Column("cost", sa.Float),
    sa.Column("waits_for", sa.String(16)),
    sa.Column("egress_in", sa.BigInteger),
    sa.Column("egress_out", sa.BigInteger),
    sa.Column("summed", sa.Boolean),
    sa.Column("input", sa.JSON),
    sa.Column("response_file", sa.JSON),
    sa.Column("made_by", sa.JSON),
    sa.Index("ix_runs_created", "created_at"),
    sa.Index("ix_runs_owner_created", "owner", "created_at", "id"),
    sa.Index("ix_runs_owner_service", "owner", "service_id", "created_at", "id"),
    sa.Index("ix_runs_parent", "parent_id"),
    sa.Index("ix_runs_schedule", "schedule_id"),
    sa.Index("ix_runs_status_owner", "status", "owner", "created_at", "id"),
    sa.Index(
        "ix_runs_unsummed",
        "created_at",
        sqlite_where=sa.text("summed IS NULL AND status <> 'provisioned'"),
        postgresql_where=sa.text("summed IS NULL AND status <> 'provisioned'"),
    ),
    *UNIQUE_IDEMPOTENCY,
)

sa.Table(
    "schedules",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("key_id", sa.String(32)),
    sa.Column("service_id", sa.String(80), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("method", sa.String(32), nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("input", sa.JSON),
    sa.Column("cron", sa.String(200)),
    sa.Column("timezone", sa.String(64), nullable=False),
    sa.Column("catch_up", sa.String(8), nullable=False),
    sa.Column("overlap", sa.String(8), nullable=False),
    sa.Column("jitter", sa.Float, nullable=False),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("next_at", sa.BigInteger),
    sa.Column("last_at", sa.BigInteger),
    sa.Column("last_run_id", sa.String(40)),
    sa.Column("missed", sa.Integer, nullable=False),
    sa.Column("held_back", sa.Integer, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("maker", sa.String(80)),
    sa.Column("made_by", sa.JSON),
    sa.Index("ix_schedules_next", "next_at"),
    sa.Index("ix_schedules_owner", "owner"),
)

sa.Table(
    "secrets",
    metadata,
    sa.Column("owner", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("key_id", sa.String(32), nullable=False),
    sa.Column("ciphertext", sa.LargeBinary, nullable=False),
    sa.Column("rule", sa.JSON),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)

sa.Table(
    "service_values",
    metadata,
    sa.Column("owner", sa.String(64), primary_key=True),
    sa.Column("space", sa.String(32), primary_key=True),
    sa.Column("key", sa.String(512), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Index("ix_service_values_expires", "expires_at"),
)

sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.String(48), primary_key=True),
    sa.Column("principal", sa.String(240), nullable=False),
    sa.Column("tool", sa.String(64), nullable=False),
    sa.Column("arguments", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("message", sa.Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("executor", sa.String(32), nullable=False),
    sa.Column("beat_at", sa.BigInteger, nullable=False),
    sa.Column("outcome", sa.Text),
    sa.Column("asks", sa.Text),
    sa.Column("answers", sa.Text),
    sa.Column("cancel_asked", sa.Boolean, nullable=False),
    sa.Index("ix_tasks_expires", "expires_at"),
)

sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("endpoint", sa.String(64), nullable=False),
    sa.Column("key", sa.String(64), nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("event", sa.String(100), nullable=False),
    sa.Column("about", sa.JSON, nullable=False),
    sa.Column("status", sa.String(12), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
    sa.Column("due_at", sa.BigInteger, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("repeats", sa.Integer, nullable=False),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("runs", sa.JSON, nullable=False),
    sa.Column("made_by", sa.JSON),
    sa.UniqueConstraint("endpoint", "key", name="uq_webhook_deliveries_key"),
    sa.Index("ix_webhook_deliveries_due", "status", "due_at"),
    sa.Index("ix_webhook_deliveries_owner", "owner", "received_at"),
)

sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("endpoint", sa.String(64), nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("key_id", sa.String(32)),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("service_id", sa.String(80), nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("filters", sa.JSON, nullable=False),
    sa.Column("secret", sa.String(64)),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("maker", sa.String(80)),
    sa.Column("made_by", sa.JSON),
    sa.Index("ix_webhooks_endpoint", "endpoint"),
    sa.Index("ix_webhooks_owner", "owner"),
)

sa.Table(
    "workflows",
    metadata,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("public", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("active_version", sa.Integer, nullable=False),
    sa.Column("template", sa.String(40)),
    sa.UniqueConstraint("owner", "name", name="uq_workflows_owner_name"),
)

sa.Table(
    "agreements",
    metadata,
    sa.Column("owner", sa.String(64), primary_key=True),
    sa.Column(
        "workflow_id", sa.String(80), sa.ForeignKey("workflows.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("manifest", sa.JSON, nullable=False),
    sa.Column("agreed_at", sa.BigInteger, nullable=False),
)

sa.Table(
    "log_chunks",
    metadata,
    sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("first_seq", sa.Integer, primary_key=True),
    sa.Column("lines", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

sa.Table(
    "published",
    metadata,
    sa.Column("owner", sa.String(64), primary_key=True),
    sa.Column("tool", sa.String(64), primary_key=True),
    sa.Column(
        "workflow_id", sa.String(80), sa.ForeignKey("workflows.id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("toolset", sa.String(32), nullable=False),
    sa.Column("route", sa.String(200), nullable=False),
    sa.Column("method", sa.String(8), nullable=False),
    sa.Column("read_only", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Index("ix_published_workflow", "workflow_id"),
)

sa.Table(
    "run_requests",
    metadata,
    sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("method", sa.String(32), nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("query", sa.LargeBinary, nullable=False),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("timeout", sa.Float),
    sa.Column("caller_kind", sa.String(16), nullable=False),
)

sa.Table(
    "versions",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("workflow_id", sa.String(80), sa.ForeignKey("workflows.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("code_hash", sa.String(64), nullable=False),
    sa.Column("environment", sa.String(64), nullable=False),
    sa.Column("openapi", sa.JSON, nullable=False),
    sa.Column("checks", sa.JSON, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("manifest", sa.JSON),
    sa.Column("example", sa.JSON),
    sa.UniqueConstraint("workflow_id", "number", name="uq_versions_number"),
)
