"""Who may start now, who waits, who is turned away. One gate per owner; by priority, then first come first served."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from codewords_mcp.errors import TooBusy

NESTED_FACTOR = 2
"""Calls made by running workflows never queue, since the caller holds a slot while it waits; up to this many times
the limit they start at once, and beyond it they are refused, which ends a workflow that calls itself without end."""

USUAL = 50
"""The priority of a run that names none."""


class _Gate:
    def __init__(self) -> None:
        self.active = 0
        self.waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self.numbers = itertools.count()


class Admission:
    """`limit` runs at once per owner, `queue_limit` waiting."""

    def __init__(self, limit: int, queue_limit: int) -> None:
        self._limit = limit
        self._queue_limit = queue_limit
        self._gates: dict[str, _Gate] = {}

    @property
    def active(self) -> int:
        """Runs holding a slot, all owners."""
        return sum(gate.active for gate in self._gates.values())

    @property
    def queued(self) -> int:
        """Runs waiting for a slot, all owners."""
        return sum(len(gate.waiting) for gate in self._gates.values())

    def would_wait(self, owner: str) -> bool:
        """Whether the next run of this owner has to queue. Raises TooBusy when the queue is full too."""
        gate = self._gates.get(owner)
        if gate is None or gate.active < self._limit:
            return False
        if len(gate.waiting) >= self._queue_limit:
            raise TooBusy(
                f"{gate.active} runs are active and {len(gate.waiting)} are waiting, which is the limit.",
                retry_after=5,
                hint="Try again in some seconds, or raise CODEWORDS_CONCURRENCY or CODEWORDS_QUEUE_LIMIT.",
            )
        return True

    def claim(self, owner: str, *, nested: bool = False) -> bool:
        """Take a slot at once; False where the owner has to wait. Whoever has it passes `claimed` to `slot`, or calls
        `give_back`. Raises TooBusy for a nested run beyond its limit.
        """
        gate = self._gates.setdefault(owner, _Gate())
        if nested:
            self._check_nested(gate)
        elif gate.active >= self._limit:
            return False
        gate.active += 1
        return True

    def give_back(self, owner: str) -> None:
        """A slot that was claimed is not needed."""
        self._leave(owner, self._gates[owner])

    @asynccontextmanager
    async def slot(
        self,
        owner: str,
        *,
        nested: bool = False,
        claimed: bool = False,
        patient: bool = False,
        priority: int = USUAL,
    ) -> AsyncGenerator[None]:
        """Hold a slot. Waits in line for one, a lower `priority` first. Raises TooBusy, except for a `patient` run, which
        was let in before. A cancelled wait leaves the line.
        """
        gate = self._gates.setdefault(owner, _Gate())
        if claimed:
            pass
        elif patient and gate.active >= self._limit:
            await self._wait(gate, priority)
        elif nested:
            self._check_nested(gate)
            gate.active += 1
        elif self.would_wait(owner):
            await self._wait(gate, priority)
        else:
            gate.active += 1
        try:
            yield
        finally:
            self._leave(owner, gate)

    def _check_nested(self, gate: _Gate) -> None:
        if gate.active >= self._limit * NESTED_FACTOR:
            raise TooBusy(
                f"{gate.active} runs are active; workflows that call workflows may not start more.",
                retry_after=5,
                hint="Look for a workflow that calls itself without end.",
            )

    async def _wait(self, gate: _Gate, priority: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(gate.waiting, (priority, next(gate.numbers), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on(gate)
            else:
                gate.waiting = [one for one in gate.waiting if one[2] is not turn]
                heapq.heapify(gate.waiting)
            raise

    def _leave(self, owner: str, gate: _Gate) -> None:
        self._pass_on(gate)
        if gate.active == 0 and not gate.waiting:
            self._gates.pop(owner, None)

    def _pass_on(self, gate: _Gate) -> None:
        # the slot goes straight to the next in line, so that nobody can slip in between
        while gate.waiting and gate.active <= self._limit:
            turn = heapq.heappop(gate.waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        gate.active -= 1
