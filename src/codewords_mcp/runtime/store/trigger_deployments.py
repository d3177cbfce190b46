"""Deployed triggers: what event sources have set up at others for the triggers of owners, until it is gone there.

A row is written before the request that deploys it, and goes after the one that removes it, so that a process that ends
in between leaves nothing behind that nobody knows of.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple, TypedDict

from sqlalchemy import Connection, and_, delete, func, or_, select, text, update

from codewords_mcp.common.bounded_json import JsonObject
from codewords_mcp.runtime.store import triggers as trigger_rows
from codewords_mcp.runtime.store.inserts import insert_once
from codewords_mcp.runtime.store.tables import trigger_deployments as deployments
from codewords_mcp.runtime.store.tables import triggers
from codewords_mcp.runtime.store.tables.triggers import UNSETTLED

PREFIX = "dep_"
"""Begins the ids of deployments, which are the last part of their addresses."""
ACCOUNT_GONE = "Paused: its account was disconnected. Connect it again, then resume this trigger."
Status = Literal["new", "sent", "on", "off"]
"""`sent`: the request that deploys it was sent, and its answer is not known."""
Target = Literal["on", "off", "gone"]


class DeploymentRow(NamedTuple):
    """A deployed trigger. Times are µs since 1970.

    `options` are those of its trigger, `prepared` what was sent for them. `address` is the one that is told of events.
    `due_at` is None while nothing is to be done.
    """

    id: str
    trigger_id: str
    owner: str
    kind: str
    options: JsonObject
    prepared: JsonObject | None
    remote_id: str | None
    account: str | None
    status: Status
    target: Target
    address: str | None
    due_at: int | None
    claimed_until: int | None
    tries: int
    problem: str
    sent_at: int | None
    created_at: int


class DeploymentChange(TypedDict, total=False):
    """The columns of a deployment that change."""

    prepared: JsonObject | None
    remote_id: str | None
    account: str | None
    status: Status
    target: Target
    address: str | None
    due_at: int | None
    claimed_until: int | None
    tries: int
    problem: str
    sent_at: int | None


_UNSETTLED = text(UNSETTLED)
_COLUMNS = [deployments.c[name] for name in DeploymentRow._fields]


def get(connection: Connection, deployment_id: str) -> DeploymentRow | None:
    """By id."""
    row = connection.execute(select(*_COLUMNS).where(deployments.c.id == deployment_id)).first()
    return DeploymentRow(*row) if row else None


def change(connection: Connection, deployment_id: str, values: DeploymentChange) -> None:
    """Set columns."""
    connection.execute(update(deployments).where(deployments.c.id == deployment_id).values(values))


def remove(connection: Connection, deployment_id: str) -> None:
    """Delete a deployment that is gone."""
    connection.execute(delete(deployments).where(deployments.c.id == deployment_id))


def known_ids(connection: Connection, owner: str, but: str) -> set[str]:
    """The ids at the broker of an owner's other deployments."""
    query = select(deployments.c.remote_id).where(deployments.c.owner == owner, deployments.c.id != but)
    return {found for found in connection.execute(query).scalars() if found is not None}


def reconcile(connection: Connection, kinds: Sequence[str], at: int) -> None:
    """Set targets by the triggers of these kinds: each is deployed with its options, and on while it is active."""
    changes, missing = _differences(connection, kinds)
    for deployment_id, values in changes:
        change(connection, deployment_id, {**values, "due_at": at, "tries": 0})
    for trigger in missing:
        # Another replica may have made it since the look: the table takes one live deployment of a trigger.
        insert_once(connection, deployments, _new(*trigger, at))


def is_reconciled(connection: Connection, kinds: Sequence[str]) -> bool:
    """Whether `reconcile` would change nothing."""
    changes, missing = _differences(connection, kinds)
    return not changes and not missing


def _differences(
    connection: Connection, kinds: Sequence[str]
) -> tuple[list[tuple[str, DeploymentChange]], list[tuple[str, str, str, JsonObject]]]:
    """Return (changes of deployments whose triggers have changed, active triggers without a deployment)."""
    own = (
        deployments.c.id, deployments.c.trigger_id, deployments.c.options, deployments.c.target,
        deployments.c.due_at,
    )  # fmt: skip
    now = triggers.c.options.label("options_now"), triggers.c.paused, triggers.c.next_at
    joined = select(*own, *now).outerjoin(triggers, triggers.c.id == deployments.c.trigger_id)
    changes: list[tuple[str, DeploymentChange]] = []
    served: set[str] = set()
    for row in connection.execute(joined.where(deployments.c.target != "gone")):
        target: Target = "off" if row.paused else "on"
        if row.options_now == row.options:
            served.add(row.trigger_id)
        else:
            # Also where its trigger is gone.
            target = "gone"
        if target != row.target:
            changes.append((row.id, {"target": target}))
        elif target == "on" and row.due_at is None and row.next_at is None:
            # Paused and resumed before anybody looked: it is switched on again, or found to be gone.
            changes.append((row.id, {"status": "off"}))

    active = and_(triggers.c.kind.in_(kinds), triggers.c.paused.is_(False))
    query = select(triggers.c.id, triggers.c.owner, triggers.c.kind, triggers.c.options).where(active)
    missing = [(row.id, row.owner, row.kind, row.options) for row in connection.execute(query)]
    return changes, [trigger for trigger in missing if trigger[0] not in served]


def _new(trigger_id: str, owner: str, kind: str, options: JsonObject, at: int) -> dict[str, object]:
    row = DeploymentRow(
        f"{PREFIX}{secrets.token_hex(16)}", trigger_id, owner, kind, options, None, None, None,
        "new", "on", None, at, None, 0, "", None, at,
    )  # fmt: skip
    return row._asdict()


def claim_due(connection: Connection, at: int, lease: int, limit: int) -> list[DeploymentRow]:
    """Claim deployments of which something is to be done, for `lease` µs. Concurrent callers skip them."""
    free = or_(
        deployments.c.claimed_until.is_(None),
        deployments.c.claimed_until <= at,
        # The clock was ahead when it was claimed.
        deployments.c.claimed_until > at + lease,
    )
    query = select(*_COLUMNS).where(_UNSETTLED, deployments.c.due_at <= at, free)
    query = query.order_by(deployments.c.due_at).limit(limit).with_for_update(skip_locked=True)
    rows = [DeploymentRow(*row) for row in connection.execute(query)]
    if rows:
        ids = [row.id for row in rows]
        claimed = update(deployments).where(deployments.c.id.in_(ids)).values(claimed_until=at + lease)
        connection.execute(claimed)
    return rows


def release_claims(connection: Connection) -> None:
    """Release all claims: those of a process that ended without settling them."""
    claimed = deployments.c.claimed_until.is_not(None)
    connection.execute(update(deployments).where(claimed).values(claimed_until=None))


def next_due(connection: Connection) -> int | None:
    """The time at which something is to be done next, in µs."""
    if connection.dialect.name == "sqlite":
        later = func.max
    else:
        later = func.greatest
    claimed = func.coalesce(deployments.c.claimed_until, 0)
    query = select(func.min(later(deployments.c.due_at, claimed))).where(_UNSETTLED)
    return connection.execute(query).scalar()


def other_address(connection: Connection, ids: Collection[str], at: int) -> None:
    """Have the addresses of these deployments set again."""
    if ids:
        connection.execute(update(deployments).where(deployments.c.id.in_(ids)).values(due_at=at, tries=0))


def working(connection: Connection) -> list[tuple[str, str | None]]:
    """(id, address) of the deployments that emit events."""
    on = and_(deployments.c.status == "on", deployments.c.target == "on")
    query = select(deployments.c.id, deployments.c.address).where(on, deployments.c.due_at.is_(None))
    return [(row[0], row[1]) for row in connection.execute(query)]


def account_removed(connection: Connection, owner: str, account: str, at: int) -> int:
    """Remove the deployments of an account, and pause their triggers. Returns their number."""
    mine = and_(
        deployments.c.owner == owner, deployments.c.account == account, deployments.c.target != "gone"
    )
    found = connection.execute(select(deployments.c.id, deployments.c.trigger_id).where(mine)).all()
    for deployment_id, trigger_id in found:
        change(connection, deployment_id, {"target": "gone", "due_at": at, "tries": 0})
        trigger_rows.change(connection, trigger_id, {"paused": True, "note": ACCOUNT_GONE, "gap": False})
    return len(found)
