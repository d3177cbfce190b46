"""The tables, by subject. Times are integer microseconds since 1970 UTC; JSON columns hold small documents."""

from __future__ import annotations

from codewords_mcp.runtime.store.tables.access import (
    agreements,
    browsers,
    keys,
    links,
    login_sessions,
    logins,
    members,
    passkeys,
    secrets,
)
from codewords_mcp.runtime.store.tables.alerts import (
    alert_causes,
    alert_messages,
    alert_settings,
    alerts,
)
from codewords_mcp.runtime.store.tables.audit import audit_blocks, audit_entries
from codewords_mcp.runtime.store.tables.base import metadata
from codewords_mcp.runtime.store.tables.budgets import (
    budget_accounts,
    budgets,
    model_reservations,
    owner_quotas,
    owner_storage,
)
from codewords_mcp.runtime.store.tables.home import executors, key_use, marks, meta, tasks
from codewords_mcp.runtime.store.tables.recordings import (
    held_writes,
    recorded_bodies,
    recording_bodies,
    recording_journal,
    recordings,
    replays,
    run_traces,
    unread_hosts,
)
from codewords_mcp.runtime.store.tables.runs import REPLAYS, UNSUMMED, log_chunks, run_requests, runs
from codewords_mcp.runtime.store.tables.services import (
    files,
    integrations,
    mcp_servers,
    mcp_sign_ins,
    mcp_tools,
    outbox,
    service_values,
)
from codewords_mcp.runtime.store.tables.triggers import (
    schedules,
    trigger_deployments,
    trigger_events,
    triggers,
    webhook_deliveries,
    webhooks,
)
from codewords_mcp.runtime.store.tables.waits import question_messages, run_waits
from codewords_mcp.runtime.store.tables.workflows import drafts, published, versions, workflows

__all__ = [
    "REPLAYS",
    "UNSUMMED",
    "agreements",
    "alert_causes",
    "alert_messages",
    "alert_settings",
    "alerts",
    "audit_blocks",
    "audit_entries",
    "browsers",
    "budget_accounts",
    "budgets",
    "drafts",
    "executors",
    "files",
    "held_writes",
    "integrations",
    "key_use",
    "keys",
    "links",
    "log_chunks",
    "login_sessions",
    "logins",
    "marks",
    "mcp_servers",
    "mcp_sign_ins",
    "mcp_tools",
    "members",
    "meta",
    "metadata",
    "model_reservations",
    "outbox",
    "owner_quotas",
    "owner_storage",
    "passkeys",
    "published",
    "question_messages",
    "recorded_bodies",
    "recording_bodies",
    "recording_journal",
    "recordings",
    "replays",
    "run_requests",
    "run_traces",
    "run_waits",
    "runs",
    "schedules",
    "secrets",
    "service_values",
    "tasks",
    "trigger_deployments",
    "trigger_events",
    "triggers",
    "unread_hosts",
    "versions",
    "webhook_deliveries",
    "webhooks",
    "workflows",
]
