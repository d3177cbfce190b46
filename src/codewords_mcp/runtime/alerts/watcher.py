"""The loop that makes alerts of failures, and ends them when what failed works again.

A failure is written as a cause with the record of what failed, in one transaction, and taken out in the
transaction that counts it on an alert: a crash loses none and counts none twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import structlog
from sqlalchemy import Connection, select

from codewords_mcp.runtime.alerts.conditions import Conditions
from codewords_mcp.runtime.alerts.describe import connection_subject
from codewords_mcp.runtime.alerts.describe_trigger import resolve_working, working_again
from codewords_mcp.runtime.alerts.make import make_alerts
from codewords_mcp.runtime.alerts.notify import notify_resolved
from codewords_mcp.runtime.runs.poll_loop import PollLoop
from codewords_mcp.runtime.store import alert_causes, alerts
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.tables import runs

log = structlog.get_logger(__name__)
BATCH = 100
"""Last runs of a workflow that are looked at for one that succeeded."""
UNFINISHED_INTERVAL = 0.5
"""Seconds between polls while a failed run's log goes on."""
SPACING = 0.25
"""Seconds at least between two polls: a busy home ends runs all the time."""
POLL_INTERVAL, SHARED_POLL_INTERVAL = 30.0, 3.0
"""Seconds between polls of its own accord, where nobody else and where replicas may have left something."""
MAX_ENDED = 5000
"""Runs that ended and were not looked at yet. Beyond it the store is asked which succeeded."""


class AlertWatcher(PollLoop):
    """Makes and resolves alerts. `on_change` is called after any changed."""

    def __init__(self, database: Database, conditions: Conditions, on_change: Callable[[], object]) -> None:
        super().__init__("alerts are not made", 5.0)
        self._db = database
        self._conditions = conditions
        self._on_change = on_change
        self._ended: set[str] = set()
        self._lost: set[tuple[str, str]] = set()
        """(owner, app) of the accounts that were said to be dead and not to work since."""
        self._restored: set[tuple[str, str]] = set()
        self._reconciled = False
        self._polled_at = -SPACING

    def run_ended(self, run_id: str) -> None:
        """A run has left this process; it may have failed, or have succeeded again."""
        if len(self._ended) < MAX_ENDED:
            self._ended.add(run_id)
        else:
            self._reconciled = False
        self.wake()

    def connection_state(self, owner: str, app: str, healthy: bool) -> None:
        """An account works, or lost its access."""
        account = (owner, app)
        if not healthy:
            self._lost.add(account)
            self._restored.discard(account)
            # Cut, since the id of a cause has at most 120 characters.
            cause = f"connection {owner[:40]}/{app[:40]} {now()}"
            detail = {"owner": owner, "app": app}
            self._db.write_soon(alert_causes.note, cause, "connection_lost", detail)
            self.wake()
        elif account in self._lost:
            self._lost.discard(account)
            self._restored.add(account)
            self.wake()

    async def poll(self) -> float:
        """See `PollLoop`."""
        await asyncio.sleep(max(0.0, self._polled_at + SPACING - time.monotonic()))
        self._polled_at = time.monotonic()

        changed = False
        # Before the read, which then knows of the failures before these ends.
        ended = set(self._ended)
        # Alerts are made before any is resolved, so that a success finds the alert of the failure before it.
        while (state := await self._db.read(_read_state)).has_causes:
            await self._db.write(make_alerts)
            changed = True
        changed = await self._resolve(state, ended) or changed
        changed = await self._resolve_connections(state.lost_accounts) or changed
        if state.has_working_trigger:
            changed = await self._db.write(resolve_working) or changed
        changed = await self._conditions.check() or changed

        if changed:
            self._on_change()
        longest = SHARED_POLL_INTERVAL if self._db.shared else POLL_INTERVAL
        if state.is_unfinished:
            longest = UNFINISHED_INTERVAL
        return min(longest, self._conditions.interval)

    async def _resolve_connections(self, lost: AbstractSet[tuple[str, str]]) -> bool:
        restored, self._restored = self._restored, set()
        if restored:
            await self._db.write(self._resolve_accounts, restored)
        # Also those that other processes were told of.
        self._lost |= lost - restored - self._restored
        return bool(restored)

    def _resolve_accounts(self, connection: Connection, accounts: set[tuple[str, str]]) -> None:
        # That it was lost may have been written since the causes were read, and must not be told after this.
        while alert_causes.has_any(connection):
            make_alerts(connection)
        for owner, app in accounts:
            ids = alerts.resolve_subject(connection, owner, connection_subject(app), now())
            notify_resolved(connection, owner, ids)

    async def _resolve(self, state: _State, ended: set[str]) -> bool:
        """Resolve the alerts of workflows whose runs succeed again; whether there were any."""
        if not state.is_unfinished:
            # Else failures from before these runs are still to be told, so the runs are looked at again.
            self._ended -= ended
        reconcile = not self._reconciled
        self._reconciled = True
        if not state.services or not (ended or reconcile):
            return False

        return await self._db.write(_resolve_ended, state.services, None if reconcile else ended)


class _State(NamedTuple):
    """The state of alerts at a poll. `services` have alerts of runs, `lost_accounts` alerts of access."""

    has_causes: bool = False
    is_unfinished: bool = False
    services: AbstractSet[tuple[str, str]] = frozenset()
    lost_accounts: AbstractSet[tuple[str, str]] = frozenset()
    has_working_trigger: bool = False


def _read_state(connection: Connection) -> _State:
    """Read all that a poll asks, in one turn: in a home without failures by two short statements."""
    state = _State()
    if not alert_causes.is_empty(connection):
        state = _State(alert_causes.has_any(connection), alert_causes.has_unfinished(connection))
    # Alerts are made first, then the state is read again.
    if state.has_causes or alerts.all_resolved(connection):
        return state

    return state._replace(
        services=alerts.services_with_alerts(connection),
        lost_accounts=_lost_accounts(connection),
        has_working_trigger=bool(working_again(connection)),
    )


def _lost_accounts(connection: Connection) -> set[tuple[str, str]]:
    rows = alerts.unresolved_of(connection, ("connection_lost",))
    return {(row["owner"], row["detail"]["app"]) for row in rows}


def _resolve_ended(
    connection: Connection, services: AbstractSet[tuple[str, str]], ended: set[str] | None
) -> bool:
    """Resolve by the runs `ended`; None: by the last runs of each workflow."""
    columns = (runs.c.owner, runs.c.service_id, runs.c.schedule_id, runs.c.completed_at)
    query = select(*columns).where(
        runs.c.status == "succeeded", runs.c.mode.is_(None), runs.c.completed_at.is_not(None)
    )
    resolved = False
    for owner, service_id in services:
        mine = query.where(runs.c.owner == owner, runs.c.service_id == service_id)
        newest = mine.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(BATCH)
        if ended is not None:
            newest = newest.where(runs.c.id.in_(sorted(ended)))

        for row in connection.execute(newest).mappings().all():
            ids = alerts.resolve_run(
                connection, owner, service_id, row["schedule_id"], row["completed_at"], now()
            )
            notify_resolved(connection, owner, ids)
            resolved = resolved or bool(ids)
    return resolved
