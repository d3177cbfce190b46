"""Waiting for a run to change, in this process or in another."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from codewords_mcp.runtime.model.events import (
    ANY_RUN,
    CancelRequested,
    EventBus,
    RunChanged,
    RunChangedElsewhere,
    RunLeft,
    WaitingPagesChanged,
)
from codewords_mcp.runtime.runs.run_logs import Journal
from codewords_mcp.runtime.runs.slots import SlotManager


@dataclass(slots=True)
class _Subscription:
    """Waiters for the next change of one run."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    waiters: int = 0


class RunEvents:
    """Waiters for changes of runs. They wake at changes by this process and by others."""

    def __init__(self, bus: EventBus, journal: Journal, slots: SlotManager) -> None:
        self._bus = bus
        self._journal = journal
        self._slots = slots
        self._subscriptions: dict[str, _Subscription] = {}
        bus.subscribe(RunChanged, self._on_change)
        bus.subscribe(RunChangedElsewhere, self._on_remote_change)

    @contextmanager
    def subscribe(self, run_id: str) -> Generator[asyncio.Event]:
        """Yield an event that is set at the next change of the run. Subscribe before reading the record."""
        subscription = self._subscriptions.setdefault(run_id, _Subscription())
        subscription.waiters += 1
        try:
            yield subscription.changed
        finally:
            subscription.waiters -= 1
            # `notify` may have removed it already, and somebody else subscribed anew
            if not subscription.waiters and self._subscriptions.get(run_id) is subscription:
                del self._subscriptions[run_id]

    def publish(self, event: RunChanged | RunLeft | CancelRequested | WaitingPagesChanged) -> None:
        """Publish an event of a run of this process."""
        self._bus.publish(event)

    def _on_change(self, event: RunChanged) -> None:
        self._wake(event.run_id)

    def _on_remote_change(self, event: RunChangedElsewhere) -> None:
        # the replica may have given a slot back
        self._slots.on_remote_change()
        if event.run_id == ANY_RUN:
            run_ids = [*self._subscriptions, *self._journal.followers.followed_runs]
        else:
            run_ids = [event.run_id]

        for changed in run_ids:
            self._journal.followers.wake(changed)
            self._wake(changed)

    def _wake(self, run_id: str) -> None:
        # Removed and not only set: who subscribes from now on waits for the next change.
        if subscription := self._subscriptions.pop(run_id, None):
            subscription.changed.set()
