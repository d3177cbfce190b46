"""Triggers of event sources, and the time of their next look."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, TypedDict

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.runtime.store import alert_causes
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.first_row import first_row
from codewords_mcp.runtime.store.tables import triggers
from codewords_mcp.runtime.store.tables.triggers import POLLED, STARTABLE

WORKFLOW_GONE = "Paused: its workflow was deleted."
WATCHED_GONE = "Paused: the workflow that it waits for was deleted."


class TriggerRow(TypedDict):
    """A trigger of an event source. Times are µs since 1970.

    `watches`: the workflow whose runs are its events. `next_at`: the next look, None for a source that is not polled.
    `claim` counts the looks: only the latest writes its outcome, until `claimed_until`. `gap`: a look after a long time is
    not complete, and nothing starts before it is. `seq` counts its events; `start_at`: the time from which they may start.
    """

    id: str
    owner: str
    key_id: str | None
    kind: str
    service_id: str
    watches: str | None
    path: str
    name: str
    options: JsonObject
    interval_s: float
    catch_up: int
    state: JsonValue
    paused: bool
    note: str
    next_at: int | None
    claim: int
    claimed_until: int | None
    polled_at: int | None
    failures: int
    problem: str
    gap: bool
    missed: int
    seq: int
    waiting: int
    start_at: int
    start_failures: int
    last_event_at: int | None
    last_run_id: str | None
    created_at: int


class TriggerChange(TypedDict, total=False):
    """The columns of a trigger that change."""

    path: str
    name: str
    options: JsonObject
    interval_s: float
    catch_up: int
    watches: str | None
    state: JsonValue
    paused: bool
    note: str
    next_at: int | None
    claim: int
    claimed_until: int | None
    polled_at: int
    failures: int
    problem: str
    gap: bool
    missed: int
    seq: int
    waiting: int
    start_at: int
    start_failures: int


_RUNNABLE = text(POLLED)
_STARTABLE = text(STARTABLE)


def add(connection: Connection, values: TriggerRow) -> None:
    """A new row."""
    connection.execute(insert(triggers).values(values))


def count(connection: Connection, owner: str) -> int:
    """Count the owner's triggers."""
    query = select(func.count()).select_from(triggers).where(triggers.c.owner == owner)
    return connection.execute(query).scalar_one()


def counts(connection: Connection, owner: str, workflow_ids: Collection[str]) -> dict[str, int]:
    """Count the triggers of each of these workflows that has any."""
    query = select(triggers.c.service_id, func.count()).where(
        triggers.c.owner == owner, triggers.c.service_id.in_(workflow_ids)
    )
    return {row[0]: row[1] for row in connection.execute(query.group_by(triggers.c.service_id))}


def get(connection: Connection, trigger_id: str, owner: str) -> TriggerRow | None:
    """By id, if it is theirs."""
    query = select(triggers).where(triggers.c.id == trigger_id, triggers.c.owner == owner)
    return first_row(connection, query, TriggerRow)


def lock(connection: Connection, trigger_id: str) -> TriggerRow | None:
    """By id; nobody else changes it before the transaction ends."""
    query = select(triggers).where(triggers.c.id == trigger_id).with_for_update()
    return first_row(connection, query, TriggerRow)


def of_owner(
    connection: Connection,
    owner: str,
    service_id: str | None = None,
    *,
    limit: int | None = None,
    offset: int = 0,
) -> list[TriggerRow]:
    """Newest first."""
    query = select(triggers).where(triggers.c.owner == owner)
    if service_id is not None:
        query = query.where(triggers.c.service_id == service_id)
    page = query.order_by(triggers.c.created_at.desc(), triggers.c.id).limit(limit).offset(offset)
    return [TriggerRow(**row) for row in connection.execute(page).mappings()]


def change(connection: Connection, trigger_id: str, values: TriggerChange) -> None:
    """Set columns."""
    connection.execute(update(triggers).where(triggers.c.id == trigger_id).values(values))


def remove(connection: Connection, trigger_id: str, owner: str) -> bool:
    """Delete a trigger with its events; False if there is none. Its runs stay."""
    mine = (triggers.c.id == trigger_id) & (triggers.c.owner == owner)
    return connection.execute(delete(triggers).where(mine)).rowcount == 1


def stop(connection: Connection, row: TriggerRow, note: str, at: int) -> None:
    """Pause a trigger for a reason that a person has to be told."""
    change(connection, row["id"], {"paused": True, "note": note, "gap": False})
    alert_causes.note(
        connection, f"trigger {row['id']} {at}", "trigger_stopped", {"trigger_id": row["id"], "note": note}
    )


def _affected(workflow_id: str) -> ColumnElement[bool]:
    """Condition of the active triggers that start a workflow, or wait for its runs."""
    mine = or_(triggers.c.service_id == workflow_id, triggers.c.watches == workflow_id)
    return and_(mine, triggers.c.paused.is_(False))


def count_affected(connection: Connection, workflow_id: str) -> int:
    """Count the triggers that the deletion of a workflow pauses, those of other owners too."""
    query = select(func.count()).select_from(triggers).where(_affected(workflow_id))
    return connection.execute(query).scalar_one()


def workflow_removed(connection: Connection, workflow_id: str, owner: str, at: int) -> None:
    """Pause the triggers that start a deleted workflow, or wait for its runs. Other owners are told by an alert."""
    query = select(triggers).where(_affected(workflow_id))
    for found in connection.execute(query).mappings().all():
        row = TriggerRow(**found)
        if row["service_id"] == workflow_id:
            note = WORKFLOW_GONE
        else:
            note = WATCHED_GONE
        if row["owner"] == owner:
            change(connection, row["id"], {"paused": True, "note": note, "gap": False})
        else:
            stop(connection, row, note, at)


def next_time(connection: Connection) -> int | None:
    """The time of the next look at any source, in µs."""
    query = select(func.min(triggers.c.next_at)).where(_RUNNABLE)
    return connection.execute(query).scalar()


def are_any(connection: Connection) -> bool:
    """Whether a trigger is active."""
    query = select(triggers.c.id).where(triggers.c.paused.is_(False))
    return connection.execute(query.limit(1)).first() is not None


def are_watching(connection: Connection) -> bool:
    """Whether an active trigger waits for runs to end."""
    query = select(triggers.c.id).where(triggers.c.watches.is_not(None), triggers.c.paused.is_(False))
    return connection.execute(query.limit(1)).first() is not None


def claim_due(connection: Connection, at: int, lease: int, limit: int, max_waiting: int) -> list[TriggerRow]:
    """Claim triggers whose source is to be looked at, for `lease` µs. Concurrent callers skip them.

    One with `max_waiting` events that have not started is left alone until some have, but for one that catches up.
    """
    free = or_(
        triggers.c.claimed_until.is_(None),
        triggers.c.claimed_until <= at,
        # The clock was ahead when it was claimed.
        triggers.c.claimed_until > at + lease,
    )
    has_room = or_(triggers.c.waiting < max_waiting, triggers.c.gap.is_(True))
    query = select(triggers).where(_RUNNABLE, triggers.c.next_at <= at, free, has_room)
    query = query.order_by(triggers.c.next_at).limit(limit).with_for_update(skip_locked=True)
    rows = [TriggerRow(**row) for row in connection.execute(query).mappings()]

    for row in rows:
        # As the update below counts it: a look writes its outcome only while its claim is the last one.
        row["claim"] += 1
    if rows:
        claimed = {"claim": triggers.c.claim + 1, "claimed_until": at + lease}
        ids = [row["id"] for row in rows]
        connection.execute(update(triggers).where(triggers.c.id.in_(ids)).values(claimed))
    return rows


class Look(NamedTuple):
    """A look that found nothing, and the time of the next one in µs."""

    id: str
    claim: int
    next_at: int


def note_unchanged(connection: Connection, looks: Sequence[Look], at: int) -> None:
    """Note looks that found nothing, but those whose trigger was changed or paused meanwhile."""
    mine = and_(
        triggers.c.id == bindparam("_id"), triggers.c.claim == bindparam("_claim"), text("NOT paused")
    )
    noted: dict[str, Any] = {"next_at": bindparam("_next"), "polled_at": at, "claimed_until": None}
    rows = [{"_id": look.id, "_claim": look.claim, "_next": look.next_at} for look in looks]
    connection.execute(update(triggers).where(mine).values(noted), rows)


def next_free(connection: Connection, at: int, max_waiting: int) -> int | None:
    """The time at which the next one can be claimed: as `next_time`, but for those that are claimed or full."""
    # SQLite has no `greatest`, and PostgreSQL's `max` is an aggregate only.
    if connection.dialect.name == "sqlite":
        later = func.max
    else:
        later = func.greatest
    has_room = or_(triggers.c.waiting < max_waiting, triggers.c.gap.is_(True))
    claimed = func.coalesce(triggers.c.claimed_until, 0)
    due = select(func.min(later(triggers.c.next_at, claimed))).where(
        _RUNNABLE, has_room, triggers.c.next_at <= at
    )
    waiting = connection.execute(due).scalar()
    coming = connection.execute(
        select(func.min(triggers.c.next_at)).where(_RUNNABLE, triggers.c.next_at > at)
    ).scalar()
    found = [time for time in (waiting, coming) if time is not None]
    return min(found) if found else None


def look_now(connection: Connection, trigger_id: str) -> None:
    """Make the next look at a source due, if one is to come."""
    at = now()
    mine = and_(triggers.c.id == trigger_id, _RUNNABLE, triggers.c.next_at > at)
    connection.execute(update(triggers).where(mine).values(next_at=at))


def release_claims(connection: Connection) -> None:
    """Release all claims: those of a process that ended without settling them."""
    connection.execute(
        update(triggers).where(triggers.c.claimed_until.is_not(None)).values(claimed_until=None)
    )


def pull_back(connection: Connection, at: int, longest_pause: int) -> int:
    """Look soon at sources whose next look is later than any pause allows: the clock was ahead. Returns their number."""
    # In µs, and a quarter longer: looks are spread by a tenth, which is no sign of a wrong clock.
    pause = triggers.c.interval_s * 1_250_000 + longest_pause
    far = and_(_RUNNABLE, triggers.c.next_at > at + pause)
    pulled = connection.execute(update(triggers).where(far).values(next_at=at)).rowcount
    late = and_(_STARTABLE, triggers.c.start_at > at + longest_pause)
    return pulled + connection.execute(update(triggers).where(late).values(start_at=at)).rowcount


def startable(connection: Connection, at: int, limit: int) -> list[TriggerRow]:
    """Triggers with events whose runs may be started now."""
    due = and_(_STARTABLE, triggers.c.gap.is_(False), triggers.c.start_at <= at)
    query = select(triggers).where(due).order_by(triggers.c.start_at).limit(limit)
    return [TriggerRow(**row) for row in connection.execute(query).mappings()]


def next_start(connection: Connection) -> int | None:
    """The time from which the next event may start, in µs."""
    query = select(func.min(triggers.c.start_at)).where(_STARTABLE, triggers.c.gap.is_(False))
    return connection.execute(query).scalar()


def watching(connection: Connection, service_id: str) -> list[TriggerRow]:
    """Active triggers that wait for runs of this workflow to end."""
    query = select(triggers).where(triggers.c.watches == service_id, triggers.c.paused.is_(False))
    return [TriggerRow(**row) for row in connection.execute(query).mappings()]


def is_mine(row: TriggerRow | None, claim: int) -> bool:
    """Whether a look still may write its outcome."""
    return row is not None and row["claim"] == claim and not row["paused"]
