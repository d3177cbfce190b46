"""This process among others on one database: it says that it lives, hears of the others, and takes over from the dead.

Everything here is level-triggered: it looks at what is so, not at what happened, so that a message or a round that is
lost costs time and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, text

from codewords_mcp import __version__
from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.gateway.shared_accounts import settle_dead
from codewords_mcp.runtime.model.events import (
    AccessChanged,
    AlertsChanged,
    BrowserSessionsChanged,
    CancelRequested,
    DraftsChanged,
    EventBus,
    ListChangedElsewhere,
    RunChanged,
    RunChangedElsewhere,
    RunLogGrew,
    SchedulesChanged,
    SecretsChanged,
    SecretsChangedElsewhere,
    TriggersChanged,
    WaitingPagesChanged,
    WebhooksChanged,
)
from codewords_mcp.runtime.model.live import LiveKind
from codewords_mcp.runtime.runs.background import BackgroundRuns
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.store import executors, recovery
from codewords_mcp.runtime.store.engine import CONNECT_OPTIONS

if TYPE_CHECKING:
    import psycopg

BEAT = 0.5
"""Seconds between two rounds, among few replicas."""
FEW = 20
"""Replicas that write each `BEAT` that they live. Of more, each writes less often: all of them go to one primary."""
MOST_BEATS = 6
"""Rounds within a replica's time to live, at the least."""
SEARCHERS = 4
"""Replicas that look for the dead in a round: all among few, and as many by chance among more."""
LONG_DEAD = 100
"""An executor that was not seen for so many times its time to live is forgotten."""
CHANNEL = "codewords"
SPACING = 0.02
"""Seconds between two notifications of a process at the least: each stops all commits for an instant."""
TALKERS = 10
"""Replicas that notify that often. Of more, each waits longer, since every notification goes to all others."""
LONGEST_SPACING = 1.0
"""Seconds after which whoever waits looks by itself."""
SECRETS = "secrets"
"""In a notification, where no run has such an id: secrets have changed."""
LISTS: dict[type, LiveKind] = {
    DraftsChanged: "drafts",
    SchedulesChanged: "schedules",
    TriggersChanged: "schedules",
    WebhooksChanged: "webhooks",
    WaitingPagesChanged: "inbox",
    AlertsChanged: "inbox",
    BrowserSessionsChanged: "sessions",
    # Not a word of its own: replicas of the release before would take it for a run.
    AccessChanged: "sessions",
}
"""In a notification, likewise: lists that the open pages of other processes read again."""
LARGEST = 7000
"""Bytes of a notification; PostgreSQL takes 8000. Larger ones say only that something happened."""
_NOTIFY = text("SELECT pg_notify(:channel, :payload)")
log = structlog.get_logger(__name__)


def _notify(connection: Connection, parameters: dict[str, str]) -> None:
    connection.execute(_NOTIFY, parameters)


def beat_interval(replicas: int, ttl: float) -> float:
    """Seconds between two rounds of each of so many replicas."""
    return max(BEAT, min(BEAT * replicas / FEW, ttl / MOST_BEATS))


def spacing(replicas: int) -> float:
    """Seconds between two notifications of each of so many replicas."""
    return min(SPACING * max(1, replicas / TALKERS), LONGEST_SPACING)


def search_probability(replicas: int) -> float:
    """The probability with which each of so many replicas looks for the dead in a round."""
    return SEARCHERS / max(replicas, SEARCHERS)


class Replica:
    """Runs from `open` to `close`, on a shared database."""

    def __init__(
        self, context: RunDependencies, background: BackgroundRuns, bus: EventBus, *, ttl: float
    ) -> None:
        self._context = context
        self._bus = bus
        self._background = background
        self._ttl = ttl
        self._tasks: list[asyncio.Task[None]] = []
        self._changed_runs: set[str] = set()
        self._has_changed = asyncio.Event()
        self._listener: _ReplicaListener | None = None
        self._renewed = time.monotonic()
        self._replicas = 1
        """Those that lived in the last round, this one included."""
        self._let_go: set[str] = set()
        """Runs that were fenced. Where this replica comes back before it counts as dead, nobody else takes them over."""
        self._orphaned: set[str] = set()
        """Runs that the last round found to be held by this process, and that are not here."""
        for event in (RunChanged, RunLogGrew, CancelRequested):
            bus.subscribe(event, self._publish_run)
        bus.subscribe(SecretsChanged, self._publish_secrets_change)
        for changed, kind in LISTS.items():
            bus.subscribe(changed, partial(self._publish_list, kind))

    async def open(self) -> None:
        """Be one of them. Raises StorageFailed."""
        await self._round()
        # After the first round: one that nobody knows as living would lose what it takes at once.
        await self._background.open_queue()
        self._listener = _ReplicaListener(
            self._context.database.engine.url.render_as_string(hide_password=False), self._on_notification
        )
        self._tasks = [asyncio.create_task(self._beat()), asyncio.create_task(self._publish_loop())]

    async def close(self) -> None:
        """Leave in order; what was held is free already."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listener is not None:
            await asyncio.to_thread(self._listener.close)
        if self._tasks:
            # Last: once this replica has left, others take over whatever is still in its name.
            await self._context.database.write(executors.leave, self._context.registry.executor)

    async def _beat(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._ttl):
                    await self._round()
            except (CodewordsError, TimeoutError) as error:
                log.warning("this replica could not say that it lives", reason=str(error))
            except Exception:
                log.exception("a round of this replica failed")

            # After the whole time the others take its runs over. The other half is for its own runs to end.
            if time.monotonic() - self._renewed > self._ttl / 2:
                self._fence()
            await asyncio.sleep(beat_interval(self._replicas, self._ttl))

    def _fence(self) -> None:
        """The others take this one for dead soon, and its runs: it must not go on with them."""
        active = list(self._context.registry.active.items())
        if active:
            log.warning(
                "this replica lets its runs go, since it could not say that it lives", runs=len(active)
            )
        for run_id, run in active:
            run.stop()
            self._let_go.add(run_id)

    async def _round(self) -> None:
        context = self._context
        dead, owned = await context.database.write(self._check)
        self._renewed = time.monotonic()

        for run_id, unwanted in owned.items():
            if unwanted and (run := context.registry.active.get(run_id)):
                run.cancel("it was asked to")

        if dead:
            log.warning("replicas are gone; their runs are gone on with", executors=sorted(dead))
            await self._settle(dead)

        # one that is not here the second time, or was let go of: what was accepted a moment ago is on its way
        orphaned = owned.keys() - context.registry.active.keys() - self._background.coming
        over = orphaned & (self._orphaned | self._let_go)
        self._orphaned, self._let_go = orphaned, self._let_go & owned.keys()
        if over:
            await self._settle({context.registry.executor}, over)
        if self._background.in_queue:
            await self._background.take_over(await context.database.read(self._alive))

    async def _settle(self, executors_gone: set[str], among: set[str] | None = None) -> None:
        recovered = await self._context.database.write(recovery.abandon, executors_gone, among)
        for run_id in (*recovered.interrupted, *recovered.again):
            self._publish(run_id)
        for run_id in recovered.interrupted:
            self._context.killed_attempts.settle_soon(run_id)

    def _check(self, connection: Connection) -> tuple[set[str], dict[str, bool]]:
        """Say that we live; (who died holding runs, our runs and whether somebody wants them cancelled)."""
        me = self._context.registry.executor
        executors.seen(connection, me, __version__)
        alive = self._alive(connection)
        self._replicas = len(alive)
        dead: set[str] = set()
        # By chance and not by turns, which somebody would have to hand out. One that looks is enough.
        if random.random() < search_probability(len(alive)):  # noqa: S311  # no secret
            dead = self._find_dead(connection, alive)

        return dead, executors.runs_of(connection, me)

    def _find_dead(self, connection: Connection, alive: set[str]) -> set[str]:
        """The executors that died holding runs. Settles their model calls, and forgets those long dead."""
        dead = executors.holders(connection) - alive

        if unsettled := settle_dead(connection, alive):
            log.warning(
                "model calls of replicas that are gone were settled at what they had reserved",
                calls=unsettled,
            )

        executors.forget_dead(connection, self._ttl * LONG_DEAD)
        return dead

    def _alive(self, connection: Connection) -> set[str]:
        return executors.alive(connection, self._ttl) | {self._context.registry.executor}

    # telling and hearing what changed

    def _publish_run(self, event: RunChanged | RunLogGrew | CancelRequested) -> None:
        self._publish(event.run_id)

    def _publish_secrets_change(self, _event: SecretsChanged) -> None:
        self._publish(SECRETS)

    def _publish_list(self, kind: LiveKind, _event: object) -> None:
        self._publish(kind)

    def _publish(self, run_id: str) -> None:
        self._changed_runs.add(run_id)
        self._has_changed.set()

    async def _publish_loop(self) -> None:
        while True:
            await self._has_changed.wait()
            run_ids, self._changed_runs = self._changed_runs, set()
            self._has_changed.clear()
            payload = json.dumps([self._context.registry.executor[:8], *run_ids])
            if len(payload) > LARGEST:
                payload = json.dumps([self._context.registry.executor[:8], "*"])
            parameters = {"channel": CHANNEL, "payload": payload}
            with suppress(CodewordsError):
                # in the transaction of what is told of, as a rule, and never in one before it
                await self._context.database.write_soon(_notify, parameters)

            await asyncio.sleep(spacing(self._replicas))

    def _on_notification(self, payload: str) -> None:
        try:
            sender, *changed = json.loads(payload)
        except ValueError:
            return
        # PostgreSQL sends a notification to its sender too.
        if sender == self._context.registry.executor[:8]:
            return

        if SECRETS in changed or "*" in changed:
            self._bus.publish(SecretsChangedElsewhere())
        for kind in dict.fromkeys(LISTS.values()):
            if kind in changed or "*" in changed:
                self._bus.publish(ListChangedElsewhere(kind))
        for run_id in changed:
            if run_id != SECRETS and run_id not in LISTS.values():
                self._bus.publish(RunChangedElsewhere(run_id))


class _ReplicaListener:
    """A thread with a connection of its own that listens; where it breaks, it connects again."""

    def __init__(self, url: str, on_notification: Callable[[str], None]) -> None:
        # The name of a dialect is SQLAlchemy's: psycopg takes addresses without one.
        self._url = url.replace("postgresql+psycopg://", "postgresql://")
        self._on_notification = on_notification
        self._loop = asyncio.get_running_loop()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listen", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        import psycopg

        while not self._closing.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, **CONNECT_OPTIONS) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._report("*")  # all of them: notifications were missed meanwhile
                    self._listen(connection)
            except psycopg.Error:
                self._closing.wait(BEAT)

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        while not self._closing.is_set():
            for notification in connection.notifies(timeout=0.5):
                self._loop.call_soon_threadsafe(self._on_notification, notification.payload)

    def _report(self, run_id: str) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._on_notification, json.dumps(["", run_id]))

    def close(self) -> None:
        """End the thread. Blocking."""
        self._closing.set()
        self._thread.join(5)
