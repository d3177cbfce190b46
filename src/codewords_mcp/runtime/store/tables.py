"""The tables. Times are integer microseconds since 1970 UTC; JSON columns hold small documents."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()
UNSUMMED = "summed IS NULL AND status <> 'provisioned'"
"""Condition of runs whose usage is not in `usage_days` yet (`summing.py`)."""

meta = Table(
    "meta", metadata, Column("name", String(64), primary_key=True), Column("value", Text, nullable=False)
)

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
    UniqueConstraint("owner", "name", name="uq_workflows_owner_name"),
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

runs = Table(
    "runs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("service_id", String(80)),
    Column("version", Integer),
    Column("status", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("completed_at", BigInteger),
    Column("response_status", Integer),
    Column("response_content", Text),
    Column("response_json", JSON),
    Column("response_truncated", Boolean, nullable=False, default=False),
    Column("correlation_id", String(200)),
    Column("parent_id", String(40)),
    Column("idempotency_key", String(200)),
    Column("error", JSON),
    Column("attempts", JSON, nullable=False),
    Column("steps", JSON, nullable=False),
    Column("usage", JSON, nullable=False),
    Column("timings", JSON, nullable=False),
    Column("isolation", String(8)),
    Column("background", Boolean, nullable=False, default=False),
    Column("executor", String(32)),
    Column("running_at", BigInteger),
    Column("retries", Integer, nullable=False, default=0),
    Column("in_queue", Boolean, nullable=False, default=False),
    Column("deliveries", Integer, nullable=False, default=0),
    Column("depth", Integer, nullable=False, default=0),
    Column("priority", Integer, nullable=False, default=50),
    Column("not_before", BigInteger),
    Column("cancel_asked", Boolean, nullable=False, default=False),
    Column("schedule_id", String(40)),
    Column("key_id", String(32)),
    Column("cpu_seconds", Float),
    Column("peak_memory", BigInteger),
    Column("cost", Float),
    Column("waits_for", String(16)),
    Column("egress_in", BigInteger),
    Column("egress_out", BigInteger),
    Column("summed", Boolean),
    Column("input", JSON(none_as_null=True)),
    Column("response_file", JSON(none_as_null=True)),
    Column("made_by", JSON(none_as_null=True)),
    Index("ix_runs_schedule", "schedule_id"),
    Index("ix_runs_parent", "parent_id"),
    Index("ix_runs_owner_created", "owner", "created_at", "id"),
    Index("ix_runs_owner_service", "owner", "service_id", "created_at", "id"),
    Index("ix_runs_created", "created_at"),
    Index("ix_runs_unsummed", "created_at", sqlite_where=text(UNSUMMED), postgresql_where=text(UNSUMMED)),
    Index("ix_runs_status_owner", "status", "owner", "created_at", "id"),
    Index(
        "uq_runs_idempotency",
        "owner",
        "service_id",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ),
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

schedules = Table(
    "schedules",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("key_id", String(32)),
    Column("service_id", String(80), nullable=False),
    Column("name", String(200), nullable=False),
    Column("method", String(32), nullable=False),
    Column("path", Text, nullable=False),
    Column("input", JSON),
    Column("cron", String(200)),
    Column("timezone", String(64), nullable=False),
    Column("catch_up", String(8), nullable=False),
    Column("overlap", String(8), nullable=False),
    Column("jitter", Float, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("next_at", BigInteger),
    Column("last_at", BigInteger),
    Column("last_run_id", String(40)),
    Column("missed", Integer, nullable=False),
    Column("held_back", Integer, nullable=False),
    Column("note", Text, nullable=False),
    Column("maker", String(80)),
    Column("made_by", JSON(none_as_null=True)),
    Index("ix_schedules_next", "next_at"),
    Index("ix_schedules_owner", "owner"),
)

run_requests = Table(
    "run_requests",
    metadata,
    Column("run_id", String(40), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("method", String(32), nullable=False),
    Column("path", Text, nullable=False),
    Column("query", LargeBinary, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("timeout", Float),
    Column("caller_kind", String(16), nullable=False),
)

log_chunks = Table(
    "log_chunks",
    metadata,
    Column("run_id", String(40), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("first_seq", Integer, primary_key=True),
    Column("lines", Integer, nullable=False),
    Column("body", Text, nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("key_id", String(32), nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("rule", JSON(none_as_null=True), nullable=True),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

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

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("endpoint", String(64), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("key_id", String(32)),
    Column("kind", String(16), nullable=False),
    Column("service_id", String(80), nullable=False),
    Column("path", Text, nullable=False),
    Column("name", String(200), nullable=False),
    Column("filters", JSON, nullable=False),
    Column("secret", String(64)),
    Column("created_at", BigInteger, nullable=False),
    Column("maker", String(80)),
    Column("made_by", JSON(none_as_null=True)),
    Index("ix_webhooks_endpoint", "endpoint"),
    Index("ix_webhooks_owner", "owner"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("endpoint", String(64), nullable=False),
    Column("key", String(64), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("event", String(100), nullable=False),
    Column("about", JSON, nullable=False),
    Column("status", String(12), nullable=False),
    Column("reason", Text, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),
    Column("runs", JSON, nullable=False),
    Column("made_by", JSON(none_as_null=True)),
    UniqueConstraint("endpoint", "key", name="uq_webhook_deliveries_key"),
    Index("ix_webhook_deliveries_owner", "owner", "received_at"),
    Index("ix_webhook_deliveries_due", "status", "due_at"),
)

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

integrations = Table(
    "integrations",
    metadata,
    Column("project", String(100), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("read_at", BigInteger, nullable=False),
    Column("data", JSON, nullable=False),
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
