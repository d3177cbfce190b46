"""Notifications that a run has changed: to waiters of this process, and to other replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from codewords_mcp.runtime.runs.run_logs import Journal
from codewords_mcp.runtime.runs.slots import SlotManager

ANY_RUN = "*"
"""In a notification of another replica, instead of ids: more runs than a notification can hold."""


@dataclass(slots=True)
class _Subscription:
    """Waiters for the next change of one run."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    waiters: int = 0


class RunEvents:
    """`publish`, if set, is called with the id of each run that changed here, for other replicas."""

    def __init__(self, journal: Journal, slots: SlotManager) -> None:
        self._journal = journal
        self._slots = slots
        self._subscriptions: dict[str, _Subscription] = {}
        self.publish: Callable[[str], None] | None = None
        journal.settled = self.notify

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

    def notify(self, run_id: str) -> None:
        """The run came to this process, left it or ended: wake its waiters, here and elsewhere."""
        self._wake(run_id)
        if self.publish is not None:
            self.publish(run_id)

    def on_remote_change(self, run_id: str) -> None:
        """Another replica has changed this run, or any (`ANY_RUN`)."""
        # the replica may have given a slot back
        self._slots.on_remote_change()
        if run_id == ANY_RUN:
            run_ids = [*self._subscriptions, *self._journal.followers.followed_runs]
        else:
            run_ids = [run_id]

        for changed in run_ids:
            self._journal.followers.wake(changed)
            self._wake(changed)

    def _wake(self, run_id: str) -> None:
        if subscription := self._subscriptions.pop(run_id, None):
            subscription.changed.set()
