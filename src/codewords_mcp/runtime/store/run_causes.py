"""The cause of a run in SQL: one mapping for lists, their filter and `query_runs`. `trigger_of` says the same of a run."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, literal_column

from codewords_mcp.runtime.model.run_filter import RunTrigger

_CAUSES: Final[tuple[tuple[RunTrigger, str], ...]] = (
    ("schedule", "{0}schedule_id IS NOT NULL"),
    ("event", r"{0}trigger_id LIKE 'trg\_%' ESCAPE '\'"),
    ("run", "{0}parent_id IS NOT NULL"),
    # Runs from before triggers were recorded have only the second mark.
    ("webhook", r"{0}trigger_kind = 'webhook' OR {0}correlation_id LIKE 'whd\_%' ESCAPE '\'"),
    ("on_failure", r"{0}trigger_kind = 'on_failure' OR {0}idempotency_key LIKE 'on\_failure/%' ESCAPE '\'"),
)
"""Cause → condition of a row; the first that holds counts, and "caller" where none does."""


def cause_column(table: str) -> str:
    """The SQL expression of a run's cause; `table` is the name or alias of the table of runs."""
    cases = " ".join(f"WHEN {condition.format(f'{table}.')} THEN '{cause}'" for cause, condition in _CAUSES)
    return f"CASE {cases} ELSE 'caller' END"


def has_cause(cause: RunTrigger) -> ColumnElement[bool]:
    """The condition of a query on `runs` by which only runs of this cause are listed."""
    return literal_column(cause_column("runs")) == cause
