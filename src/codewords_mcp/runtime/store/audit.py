"""Entries of the audit trail: pages by filter, and entries in the order in which they were sealed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, select
from sqlalchemy.engine import RowMapping

from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.model.audit import AuditEntry, AuditFilter
from codewords_mcp.runtime.store.clock import to_datetime
from codewords_mcp.runtime.store.tables import audit_entries as entries

_EQUAL = ("owner", "outcome", "actor", "key_id", "run_id")


def page(
    connection: Connection, conditions: AuditFilter, limit: int, before_id: int | None
) -> list[AuditEntry]:
    """Entries below an id, the newest first."""
    query = select(entries).where(*_conditions(conditions))
    if before_id is not None:
        query = query.where(entries.c.id < before_id)
    query = query.order_by(entries.c.id.desc()).limit(limit)
    return [to_entry(row) for row in connection.execute(query).mappings()]


def sealed_after(
    connection: Connection, conditions: AuditFilter, limit: int, after_seq: int
) -> list[AuditEntry]:
    """Entries after a place in the chain, in its order: nothing is added before a place that was read."""
    query = select(entries).where(*_conditions(conditions), entries.c.seq > after_seq)
    query = query.order_by(entries.c.seq).limit(limit)
    return [to_entry(row) for row in connection.execute(query).mappings()]


def to_entry(row: RowMapping) -> AuditEntry:
    """The entry of a row. Of one whose details are damaged, the other fields are shown."""
    detail = _detail_of(row["detail"])
    plain = {name: row[name] for name in AuditEntry.model_fields if name in row and name != "at"}
    return AuditEntry.model_construct(
        **plain,
        at=to_datetime(row["at"]),
        before=detail.get("before"),
        after=detail.get("after"),
        hidden=detail.get("hidden", []),
        error=detail.get("error", ""),
    )


def _detail_of(text: str) -> dict[str, Any]:
    try:
        detail = json.loads(text)
    except ValueError:
        return {}
    return object_of(detail)


def _conditions(conditions: AuditFilter) -> Sequence[ColumnElement[bool]]:
    found = [entries.c[name] == value for name in _EQUAL if (value := getattr(conditions, name)) is not None]
    if conditions.target is not None:
        found.append(entries.c.target.in_([conditions.target, *conditions.target_marks]))
    if conditions.action is not None:
        whole = entries.c.action == conditions.action
        below = entries.c.action.startswith(f"{conditions.action}.", autoescape=True)
        found.append(whole if "." in conditions.action else whole | below)
    if conditions.since is not None:
        found.append(entries.c.at >= conditions.since)
    if conditions.until is not None:
        found.append(entries.c.at < conditions.until)
    return found
