"""Failures of triggers of event sources in words."""

from __future__ import annotations

from sqlalchemy import Connection, RowMapping, select

from codewords_mcp.runtime.alerts.notify import notify_resolved
from codewords_mcp.runtime.model.alert import AlertKind
from codewords_mcp.runtime.model.plain_text import quoted
from codewords_mcp.runtime.store import alerts
from codewords_mcp.runtime.store.alert_causes import AlertCause
from codewords_mcp.runtime.store.alerts import Failure
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.tables import triggers, workflows

STATES: tuple[AlertKind, ...] = ("trigger_failing", "trigger_stopped")
"""Kinds of alerts that are over when their trigger looks at its source again."""
_NAME = 100
_HAPPENED = {
    "trigger_failing": "can't look at its source",
    "trigger_stopped": "was paused",
    "trigger_missed": "missed events",
}


def describe_trigger(connection: Connection, cause: AlertCause) -> list[Failure]:
    """Failures that a cause of a trigger is told as; none where the trigger is gone."""
    trigger_id = cause.detail["trigger_id"]
    query = select(
        triggers.c.owner,
        triggers.c.service_id,
        triggers.c.kind,
        triggers.c.name,
        workflows.c.name.label("workflow"),
    ).join(workflows, workflows.c.id == triggers.c.service_id, isouter=True)
    row = connection.execute(query.where(triggers.c.id == trigger_id)).mappings().first()
    if row is None:
        return []

    name = quoted(row["name"] or row["kind"], _NAME)
    if row["workflow"]:
        of = f" of {quoted(row['workflow'], _NAME)}"
    else:
        of = ""
    return [
        Failure(
            row["owner"],
            cause.kind,
            trigger_subject(cause.kind, trigger_id),
            f"The trigger {name}{of} {_HAPPENED[cause.kind]}",
            cause.detail["note"],
            cause.at,
            service_id=row["service_id"],
            detail={"trigger_id": trigger_id},
            times=cause.detail.get("times", 1),
        )
    ]


def trigger_subject(kind: str, trigger_id: str) -> str:
    """The subject of the alerts of a trigger."""
    return f"{kind}/{trigger_id}"


def working_again(connection: Connection) -> list[RowMapping]:
    """Alerts of triggers that work again, or are gone."""
    found = alerts.unresolved_of(connection, STATES)
    if not found:
        return []
    ids = {row["detail"]["trigger_id"] for row in found}
    query = select(triggers.c.id).where(
        triggers.c.id.in_(ids), triggers.c.paused.is_(True) | (triggers.c.failures > 0)
    )
    failing = set(connection.execute(query).scalars())
    return [row for row in found if row["detail"]["trigger_id"] not in failing]


def resolve_working(connection: Connection) -> bool:
    """Resolve the alerts of triggers that work again; whether there were any."""
    over = working_again(connection)
    for row in over:
        ids = alerts.resolve_subject(connection, row["owner"], row["subject"], now())
        notify_resolved(connection, row["owner"], ids)
    return bool(over)
