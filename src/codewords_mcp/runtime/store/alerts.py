"""Alerts: one row for equal failures of an owner, which counts them."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, or_, select, update

from codewords_mcp.runtime.model.alert import UNRESOLVED, Alert, AlertKind, AlertStatus
from codewords_mcp.runtime.store.clock import optional_datetime, to_datetime
from codewords_mcp.runtime.store.tables import alert_messages, alert_settings, alerts

MAX_ALERTS = 500
"""Alerts of an owner; those that are over make room first, then the oldest."""
_RUN_KINDS: tuple[AlertKind, ...] = ("run_failed", "run_overdue", "delivery_failed", "on_failure_failed")
_SCHEDULE_KINDS: tuple[AlertKind, ...] = ("schedule_failing", "schedule_missed", "schedule_stopped")
_FIRST_UNRESOLVED = select(alerts.c.id).where(alerts.c.status != "resolved").limit(1)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure to tell. Failures of one `subject` share an alert. `times`: how often it happened."""

    owner: str
    kind: AlertKind
    subject: str
    title: str
    message: str
    at: int
    service_id: str | None = None
    schedule_id: str | None = None
    run_id: str | None = None
    times: int = 1
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])


class RaisedAlert(NamedTuple):
    """An alert after a failure. `is_new`: it was not open before; `is_quiet`: a person has acknowledged it."""

    id: str
    failure: Failure
    is_new: bool
    is_quiet: bool


def add(connection: Connection, failure: Failure) -> RaisedAlert:
    """See `add_all`."""
    return add_all(connection, [failure])[0]


def add_all(connection: Connection, failures: Sequence[Failure]) -> list[RaisedAlert]:
    """Count failures of different subjects on their alerts. One that was over opens again and counts from the start."""
    raised: list[RaisedAlert] = []
    new_rows: list[dict[str, Any]] = []
    known = _known(connection, failures)

    for failure in failures:
        row = known.get((failure.owner, failure.subject))
        values = _values(failure)
        if row is not None and row["status"] in UNRESOLVED:
            values["count"] = row["count"] + failure.times
            quiet = row["status"] == "acknowledged"
            raised.append(RaisedAlert(row["id"], failure, is_new=False, is_quiet=quiet))
        else:
            # It opens again under its old id, so that links in mails and chats go on working.
            values |= {"status": "open", "count": failure.times, "first_at": failure.at, "resolved_at": None}
            if row is not None:
                alert_id = row["id"]
            else:
                alert_id = f"al_{secrets.token_hex(12)}"
            raised.append(RaisedAlert(alert_id, failure, is_new=True, is_quiet=False))

        if row is not None:
            connection.execute(update(alerts).where(alerts.c.id == row["id"]).values(values))
        else:
            new_rows.append(
                values | {"id": raised[-1].id, "owner": failure.owner, "subject": failure.subject}
            )

    if new_rows:
        connection.execute(insert(alerts), new_rows)
        # Only a new row can exceed the bound.
        for owner in {row["owner"] for row in new_rows}:
            _thin(connection, owner)
    return raised


def _known(connection: Connection, failures: Sequence[Failure]) -> dict[tuple[str, str], RowMapping]:
    """Return the rows of these subjects, locked until the transaction ends."""
    subjects = {failure.subject for failure in failures}
    query = select(alerts.c.id, alerts.c.owner, alerts.c.subject, alerts.c.status, alerts.c.count)
    owners = {failure.owner for failure in failures}
    which = alerts.c.owner.in_(owners) & alerts.c.subject.in_(subjects)
    found = connection.execute(query.where(which).with_for_update()).mappings()
    return {(row["owner"], row["subject"]): row for row in found}


def _values(failure: Failure) -> dict[str, Any]:
    return {
        "kind": failure.kind,
        "title": failure.title,
        "message": failure.message,
        "service_id": failure.service_id,
        "schedule_id": failure.schedule_id,
        "run_id": failure.run_id,
        "detail": dict(failure.detail),
        "last_at": failure.at,
    }


def hold(connection: Connection, failure: Failure) -> RaisedAlert | None:
    """Open the alert of a state that lasts; None where it is open, or was put away and has lasted since."""
    same = (alerts.c.owner == failure.owner) & (alerts.c.subject == failure.subject)
    status = connection.execute(select(alerts.c.status).where(same)).scalar()
    # A state is one failure for as long as it lasts: it is not counted, and stays put away.
    if status is None or status == "resolved":
        return add(connection, failure)

    return None


def resolve_run(
    connection: Connection, owner: str, service_id: str, schedule_id: str | None, at: int, now: int
) -> list[str]:
    """Resolve alerts of a workflow, and of the schedule, by a run that succeeded at `at`; their ids.

    Failures after that stay. `now` is the time: an alert of the future is from a clock that was set back since.
    """
    about: ColumnElement[bool] = alerts.c.kind.in_(_RUN_KINDS) & (alerts.c.service_id == service_id)
    if schedule_id is not None:
        about = or_(about, alerts.c.kind.in_(_SCHEDULE_KINDS) & (alerts.c.schedule_id == schedule_id))
    before = or_(alerts.c.last_at < at, alerts.c.last_at > now)
    return _resolve(connection, (alerts.c.owner == owner) & about & before, now)


def resolve_subject(connection: Connection, owner: str, subject: str, now: int) -> list[str]:
    """Resolve the alert of a state that is over, also one that was put away; its id, if it was still told."""
    same = (alerts.c.owner == owner) & (alerts.c.subject == subject)
    found = _resolve(connection, same, now)
    # The state may come back, and is then told again.
    over = update(alerts).where(same, alerts.c.status == "dismissed")
    connection.execute(over.values(status="resolved", resolved_at=now))
    return found


def _resolve(connection: Connection, which: ColumnElement[bool], now: int) -> list[str]:
    query = select(alerts.c.id).where(which, alerts.c.status.in_(UNRESOLVED))
    ids = list(connection.execute(query).scalars())
    if ids:
        values = {"status": "resolved", "resolved_at": now}
        connection.execute(update(alerts).where(alerts.c.id.in_(ids)).values(values))
    return ids


def answer(connection: Connection, owner: str, alert_id: str, status: AlertStatus, now: int) -> Alert | None:
    """A person acknowledges or dismisses an alert. None if there is none; one that is over stays so."""
    mine = (alerts.c.id == alert_id) & (alerts.c.owner == owner)
    values = {"status": status, "resolved_at": now if status == "dismissed" else None}
    connection.execute(update(alerts).where(mine, alerts.c.status.in_(UNRESOLVED)).values(values))
    # Somebody who has answered needs no message of it any more.
    connection.execute(delete(alert_messages).where(alert_messages.c.alert_id == alert_id))
    row = connection.execute(select(alerts).where(mine)).mappings().first()
    return to_alert(row) if row is not None else None


def of_owner(connection: Connection, owner: str, *, unresolved: bool, limit: int) -> list[Alert]:
    """The owner's alerts, the newest failure first."""
    query = select(alerts).where(alerts.c.owner == owner)
    if unresolved:
        query = query.where(alerts.c.status.in_(UNRESOLVED))
    query = query.order_by(alerts.c.last_at.desc(), alerts.c.id).limit(limit)
    return [to_alert(row) for row in connection.execute(query).mappings()]


def count_unresolved(connection: Connection, owner: str) -> int:
    """The number of the owner's alerts that are not over."""
    mine = select(func.count()).where(alerts.c.owner == owner, alerts.c.status.in_(UNRESOLVED))
    return connection.execute(mine).scalar_one()


def opened_since(connection: Connection, at: int) -> list[tuple[str, int, Alert]]:
    """(owner, time of its first failure, alert) of open alerts from this time on whose kinds are not muted."""
    query = select(alerts, alert_settings.c.settings.label("settings")).outerjoin(
        alert_settings, alert_settings.c.owner == alerts.c.owner
    )
    query = query.where(alerts.c.status == "open", alerts.c.first_at >= at)
    rows = connection.execute(query.order_by(alerts.c.first_at, alerts.c.id)).mappings().all()
    return [(row["owner"], row["first_at"], to_alert(row)) for row in rows if not _is_muted(row)]


def _is_muted(row: RowMapping) -> bool:
    settings: dict[str, Any] = row["settings"] or {}
    return row["kind"] in settings.get("muted", ())


def get(connection: Connection, alert_id: str) -> Alert | None:
    """One, by id."""
    row = connection.execute(select(alerts).where(alerts.c.id == alert_id)).mappings().first()
    return to_alert(row) if row is not None else None


def all_resolved(connection: Connection) -> bool:
    """Whether no alert could be resolved: one cheap statement, asked after every run."""
    return connection.execute(_FIRST_UNRESOLVED).first() is None


def services_with_alerts(connection: Connection) -> set[tuple[str, str]]:
    """(owner, id) of the workflows that a run that succeeds may resolve alerts of."""
    kinds = (*_RUN_KINDS, *_SCHEDULE_KINDS)
    query = select(alerts.c.owner, alerts.c.service_id).where(
        alerts.c.status.in_(UNRESOLVED), alerts.c.kind.in_(kinds), alerts.c.service_id.is_not(None)
    )
    return {(row.owner, row.service_id) for row in connection.execute(query.distinct())}


def unresolved_of(connection: Connection, kinds: Collection[AlertKind]) -> list[RowMapping]:
    """owner, subject and detail of the alerts of these kinds that are not over, or were put away."""
    query = select(alerts.c.owner, alerts.c.subject, alerts.c.kind, alerts.c.detail)
    statuses = (*UNRESOLVED, "dismissed")
    found = connection.execute(query.where(alerts.c.kind.in_(kinds), alerts.c.status.in_(statuses)))
    return list(found.mappings())


def purge(connection: Connection, before: int) -> None:
    """Delete alerts that are over since before a time."""
    old = alerts.c.status.in_(("resolved", "dismissed")) & (alerts.c.resolved_at < before)
    ids = select(alerts.c.id).where(old)
    connection.execute(delete(alert_messages).where(alert_messages.c.alert_id.in_(ids)))
    connection.execute(delete(alerts).where(old))


def _thin(connection: Connection, owner: str) -> None:
    # Alerts that are over make room first, whatever their age.
    oldest_last = (alerts.c.status.in_(UNRESOLVED).desc(), alerts.c.last_at.desc(), alerts.c.id)
    query = select(alerts.c.id).where(alerts.c.owner == owner).order_by(*oldest_last)
    ids = list(connection.execute(query.offset(MAX_ALERTS)).scalars())
    if ids:
        connection.execute(delete(alert_messages).where(alert_messages.c.alert_id.in_(ids)))
        connection.execute(delete(alerts).where(alerts.c.id.in_(ids)))


def to_alert(row: RowMapping) -> Alert:
    """A row as the model."""
    return Alert(
        id=row["id"],
        kind=row["kind"],
        status=row["status"],
        title=row["title"],
        message=row["message"],
        count=row["count"],
        path=_path(row),
        service_id=row["service_id"],
        schedule_id=row["schedule_id"],
        run_id=row["run_id"],
        first_at=to_datetime(row["first_at"]),
        last_at=to_datetime(row["last_at"]),
        resolved_at=optional_datetime(row["resolved_at"]),
        notified_at=optional_datetime(row["notified_at"]),
    )


_PAGES: Mapping[str, str] = {
    "budget_low": "/console/usage",
    "budget_spent": "/console/usage",
    "delivery_failed": "/console/schedules",
    "key_expiring": "/console/members",
    "secret_expiring": "/console/secrets",
}


def _path(row: RowMapping) -> str:
    if row["run_id"] is not None:
        return f"/console/runs/{row['run_id']}"
    if row["schedule_id"] is not None:
        return "/console/schedules"
    if row["kind"] == "connection_lost":
        return f"/console/integrations/{quote(str(row['detail']['app']), safe='')}"
    if row["kind"].startswith("trigger_"):
        return "/console/schedules"
    return _PAGES.get(row["kind"], "/console")
