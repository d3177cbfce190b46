"""Slots of this process, handed out fairly and never past a limit.

A slot that becomes free goes to the caller who has the fewest runs, or was served longest ago; among that caller's
runs to the most urgent, then to the workflow that has the fewest, or was served longest ago; then first come, first
served. So a long queue of one workflow or caller delays no other.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from codewords_mcp.runtime.model.limits import Limit, LimitScope, Scope

USUAL = 50
"""The priority of a run that names none."""
Group = tuple[str, str, str, bool]
Ticket = tuple[int, int]
"""Priority and number: the position of a run in its group's queue."""


@dataclass(slots=True)
class _GroupQueue:
    """Runs of one group that wait. They are alike, so that only the first can be next."""

    scope: LimitScope
    waiting: list[tuple[Ticket, asyncio.Future[None]]] = field(
        default_factory=list[tuple[Ticket, asyncio.Future[None]]]
    )


class Admission:
    """The slots of this process. `set_elsewhere` counts the slots of other processes on the database."""

    def __init__(self) -> None:
        self.active = 0
        """Runs holding a slot."""
        self._active: Counter[Hashable] = Counter()
        self._elsewhere: Mapping[tuple[Scope, str], int] = {}
        self._queues: dict[Group, _GroupQueue] = {}
        self._served: dict[Hashable, int] = {}
        self._numbers = itertools.count(1)

    @property
    def queued(self) -> int:
        """Runs waiting for a slot."""
        return sum(len(queue.waiting) for queue in self._queues.values())

    def occupied(self, limit: Limit) -> int:
        """Runs that are counted under this limit, those elsewhere included."""
        return self._active[limit.name] + self._elsewhere.get(limit.name, 0)

    def full(self, scope: LimitScope) -> Limit | None:
        """The first limit of the scope that has no free slot; None if the run may start."""
        for limit in scope.limits:
            max_runs = limit.max_runs(nested=scope.nested)
            if max_runs is not None and self.occupied(limit) >= max_runs:
                return limit
        return None

    def claim(self, scope: LimitScope) -> bool:
        """Take a slot at once; False if the run has to wait. The holder of a slot calls `leave`.

        Raises TooBusy for a nested run beyond what those may: it would wait for its own caller.
        """
        full = self.full(scope)
        if full is not None and scope.nested and full.scope != "workflow":
            raise full.too_nested(self.occupied(full))
        # Equivalent runs are started in order: a new one waits behind those that wait, also if
        # a slot is free.
        if full is not None or scope.group in self._queues:
            return False

        self._take(scope)
        return True

    def ticket(self, priority: int = USUAL) -> Ticket:
        """A position in the queue. Waiting again with it takes the same position."""
        return priority, next(self._numbers)

    async def wait(self, scope: LimitScope, ticket: Ticket, *, returns_slot: bool = False) -> None:
        """Return with a slot, in fair turn. A cancelled wait leaves the queue.

        `returns_slot`: the run holds a slot that it can't use yet. It releases it here, already in
        the queue, so that the slot goes to no run behind it.
        """
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._queues.setdefault(scope.group, _GroupQueue(scope))
        heapq.heappush(queue.waiting, (ticket, granted))
        if returns_slot:
            self._count(scope, -1)
        self._give_out()

        try:
            await granted
        except asyncio.CancelledError:
            # Granted in the same turn of the loop in which the wait was cancelled: nobody would
            # return it.
            if granted.done() and not granted.cancelled():
                self.leave(scope)
            else:
                self._forget(scope.group, granted)

            raise

    def leave(self, scope: LimitScope) -> None:
        """Release a slot; the next run in the queue gets it."""
        self._count(scope, -1)
        self._give_out()

    def set_elsewhere(self, occupied: Mapping[tuple[Scope, str], int]) -> None:
        """Set the slots that other processes occupy now."""
        self._elsewhere = occupied
        self._give_out()

    def _take(self, scope: LimitScope) -> None:
        self._count(scope, 1)
        self._served[scope.owner] = self._served[scope.group] = next(self._numbers)

    def _count(self, scope: LimitScope, by: int) -> None:
        self.active += by
        for name in (scope.owner, scope.group, *(limit.name for limit in scope.limits)):
            self._active[name] += by
            if not self._active[name]:
                del self._active[name]

    def _give_out(self) -> None:
        while queue := self._next():
            _, granted = heapq.heappop(queue.waiting)
            if not queue.waiting:
                del self._queues[queue.scope.group]
            if not granted.done():
                self._take(queue.scope)
                granted.set_result(None)
        # With nobody waiting or running the order of the past decides nothing, and it would
        # grow for ever.
        if not self._queues and not self.active:
            self._served.clear()

    def _next(self) -> _GroupQueue | None:
        # A queue whose own limit is reached blocks no other.
        able = [queue for queue in self._queues.values() if self.full(queue.scope) is None]
        return min(able, key=self._rank, default=None)

    def _rank(self, queue: _GroupQueue) -> tuple[int, ...]:
        scope, (priority, number) = queue.scope, queue.waiting[0][0]
        owner, group = scope.owner, scope.group
        return (
            self._active[owner], self._served.get(owner, 0),
            priority, self._active[group], self._served.get(group, 0), number,
        )  # fmt: skip

    def _forget(self, group: Group, granted: asyncio.Future[None]) -> None:
        queue = self._queues.get(group)
        if queue is None:
            return
        queue.waiting = [entry for entry in queue.waiting if entry[1] is not granted]
        heapq.heapify(queue.waiting)
        if not queue.waiting:
            del self._queues[group]
