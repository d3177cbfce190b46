"""The views that a person's or model's SQL reads: columns in words, and how SQLite makes each of one owner's rows.

Tables are named `main.…`, since the views have the names of some. `{owner}` is the owner as a literal.
"""

# ruff: noqa: S608  # the SQL is made of the constants below, and of an owner as a quoted literal

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from sqlalchemy import Table

from codewords_mcp.runtime.model.run_filter import RunTrigger
from codewords_mcp.runtime.store.run_causes import cause_column
from codewords_mcp.runtime.store.tables import (
    run_traces,
    runs,
    schedules,
    triggers,
    webhooks,
    workflows,
)
from codewords_mcp.runtime.store.usage_tables import model_usage

_DIALECT = (
    "SQLite's dialect. Times are text in UTC, compared as datetime('now') is: 2026-12-24 18:00:00.123456. "
    "Costs are in USD, bytes are counts. percentile(seconds, 95) is an aggregate."
)


@dataclass(frozen=True, slots=True)
class QueryView:
    """A view. `columns`: each with its meaning, "" where the name says it; `sources`: the tables that `sql` reads."""

    name: str
    columns: Mapping[str, str]
    sql: str
    sources: tuple[Table, ...]

    def statement(self, owner: str) -> str:
        """The SELECT of the view for an owner."""
        quoted = owner.replace("'", "''")
        # A literal, since the definition of a view takes no parameters.
        return self.sql.replace("{owner}", f"'{quoted}'")

    def describe(self) -> str:
        """The view and its columns as one line."""
        columns = (f"{name} ({meaning})" if meaning else name for name, meaning in self.columns.items())
        return f"{self.name}: {', '.join(columns)}"


def _time(column: str) -> str:
    seconds = f"strftime('%Y-%m-%d %H:%M:%S', {column} / 1000000, 'unixepoch')"
    # With its microseconds: several runs begin within a second, and a query asks which of them is the last.
    return f"({seconds} || printf('.%06d', {column} % 1000000))"


_RUNS = f"""SELECT r.id, r.service_id AS workflow_id, w.name AS workflow, r.version, r.status, r.waits_for, r.mode,
    {cause_column("r")} AS started_by, {_time("r.created_at")} AS created_at, {_time("r.started_at")} AS started_at,
    {_time("r.completed_at")} AS completed_at, round((r.completed_at - r.started_at) / 1e6, 3) AS seconds,
    round((coalesce(r.started_at, r.completed_at) - r.created_at) / 1e6, 3) AS queued_seconds,
    json_array_length(r.attempts) AS attempts, r.response_status AS http_status,
    json_extract(r.error, '$.code') AS error_code, json_extract(r.error, '$.message') AS error,
    (SELECT sum(u.cost) / 1e12 FROM main.model_usage u WHERE u.run_id = r.id AND NOT u.nested) AS cost_usd,
    r.cpu_seconds, r.peak_memory AS peak_memory_bytes, r.egress_out AS sent_bytes, r.egress_in AS received_bytes,
    r.parent_id, r.schedule_id, r.trigger_id, r.event_key,
    json_extract(r.input, '$.method') AS method, json_extract(r.input, '$.path') AS path,
    json_extract(r.input, '$.content') AS input, r.response_content AS result
    FROM main.runs r LEFT JOIN main.workflows w ON w.id = r.service_id AND w.owner = r.owner
    WHERE r.owner = {{owner}} AND r.status <> 'provisioned'"""

_CALLS = f"""SELECT t.run_id, r.service_id AS workflow_id,
    {_time("json_extract(c.value, '$[0]')")} AS at, json_extract(c.value, '$[1]') AS kind,
    json_extract(c.value, '$[2]') AS method, json_extract(c.value, '$[3]') AS target,
    json_extract(c.value, '$[4]') AS outcome, json_extract(c.value, '$[5]') AS http_status,
    json_extract(c.value, '$[6]') AS seconds, json_extract(c.value, '$[7]') AS sent_bytes,
    json_extract(c.value, '$[8]') AS received_bytes, json_extract(c.value, '$[9]') AS note,
    json_extract(c.value, '$[10]') AS started_run_id
    FROM main.runs r JOIN main.run_traces t ON t.run_id = r.id, json_each(calls_of(t.body)) c
    WHERE r.owner = {{owner}}"""

_MODEL_CALLS = """SELECT u.day, u.run_id, u.service_id AS workflow_id, u.provider, u.model, u.calls, u.input_tokens,
    u.output_tokens, u.cache_read_tokens, u.cost / 1e12 AS cost_usd, u.cached, u.fallbacks, u.unpriced
    FROM main.model_usage u WHERE u.owner = {owner} AND NOT u.nested"""

_SCHEDULES = f"""SELECT s.id, 'schedule' AS kind, s.service_id AS workflow_id, s.name, coalesce(s.cron, 'once') AS what,
    s.timezone, coalesce(s.paused, 0) AS paused, {_time("s.next_at")} AS next_at, {_time("s.last_at")} AS last_at,
    s.last_run_id, (SELECT r.status FROM main.runs r WHERE r.id = s.last_run_id) AS last_status, s.missed, s.note,
    {_time("s.created_at")} AS created_at
    FROM main.schedules s WHERE s.owner = {{owner}}"""

_WEBHOOKS = f"""SELECT h.id, 'webhook', h.service_id, h.name, h.kind, NULL, coalesce(h.paused, 0), NULL, NULL, NULL, NULL, 0, '',
    {_time("h.created_at")} FROM main.webhooks h WHERE h.owner = {{owner}}"""

_SOURCES = f"""SELECT t.id, t.kind, t.service_id, t.name, t.options, NULL, t.paused, {_time("t.next_at")},
    {_time("t.last_event_at")}, t.last_run_id, (SELECT r.status FROM main.runs r WHERE r.id = t.last_run_id), t.missed,
    CASE WHEN t.note <> '' THEN t.note ELSE t.problem END, {_time("t.created_at")}
    FROM main.triggers t WHERE t.owner = {{owner}}"""

# Each kind of trigger adds its SELECT with the same columns, and its table below.
_TRIGGERS = (_SCHEDULES, _WEBHOOKS, _SOURCES)
_TRIGGER_TABLES = (schedules, webhooks, triggers, runs)

VIEWS = (
    QueryView(
        "runs",
        {
            "id": "", "workflow_id": "", "workflow": "name", "version": "",
            "status": "queued, running, succeeded, failed, timed_out, cancelled, interrupted",
            "waits_for": "of a queued one: answer (of a person), wait, time, retry, turn, memory, key, caller, workflow, home",
            "mode": "NULL, or dry_run, apply, replay, resume",
            "started_by": ", ".join(get_args(RunTrigger)), "created_at": "", "started_at": "",
            "completed_at": "", "seconds": "from its start to its end", "queued_seconds": "", "attempts": "",
            "http_status": "", "error_code": "",
            "error": "", "cost_usd": "of its own model calls, without those of runs it started", "cpu_seconds": "",
            "peak_memory_bytes": "", "sent_bytes": "", "received_bytes": "", "parent_id": "the run that started it",
            "schedule_id": "", "trigger_id": "", "event_key": "", "method": "",
            "path": "", "input": "text, often JSON", "result": "text, often JSON",
        },
        _RUNS,
        (runs, workflows, model_usage),
    ),
    QueryView(
        "calls",
        {
            "run_id": "", "workflow_id": "", "at": "", "kind": "egress, gateway (models), call (services, workflows)",
            "method": "",
            "target": "host and path", "outcome": "sent, answered, held, blocked, unsent", "http_status": "", "seconds": "",
            "sent_bytes": "", "received_bytes": "", "note": "", "started_run_id": "",
        },
        _CALLS,
        (runs, run_traces),
    ),
    QueryView(
        "model_calls",
        {
            "day": "", "run_id": "", "workflow_id": "", "provider": "", "model": "", "calls": "a count: rows are sums",
            "input_tokens": "", "output_tokens": "", "cache_read_tokens": "", "cost_usd": "", "cached": "", "fallbacks": "",
            "unpriced": "",
        },
        _MODEL_CALLS,
        (model_usage,),
    ),
    QueryView(
        "triggers",
        {
            "id": "", "kind": "schedule, webhook, feed …", "workflow_id": "", "name": "", "what": "cron, who sends, or options",
            "timezone": "",
            "paused": "0 or 1", "next_at": "", "last_at": "", "last_run_id": "", "last_status": "", "missed": "", "note": "",
            "created_at": "",
        },
        " UNION ALL ".join(_TRIGGERS),
        _TRIGGER_TABLES,
    ),
)  # fmt: skip


def describe_views() -> str:
    """All views with their columns, for a person or model that writes SQL."""
    return "\n".join([_DIALECT, *(view.describe() for view in VIEWS)])


def mentioned(sql: str) -> list[QueryView]:
    """The views whose names stand anywhere in a text."""
    words = set(re.findall(r"\w+", sql.lower()))
    return [view for view in VIEWS if view.name in words]


def sources_of(views: Iterable[QueryView]) -> list[Table]:
    """The tables of these views, each once."""
    return list(dict.fromkeys(table for view in views for table in view.sources))
