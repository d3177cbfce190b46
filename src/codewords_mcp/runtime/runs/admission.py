"""Who may start now in this process, and who is next. Slots are given in fair turns, never past a limit.

A slot that becomes free goes to the caller who has the fewest runs, or was served longest ago; among that caller's
runs to the most urgent, then to the workflow that has the fewest, or was served longest ago; then first come, first
served. So a long line of one workflow or caller holds up no other.
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
"""Priority and number: where in its group's line a run stands."""


@dataclass(slots=True)
class _Line:
    """Runs of one group that wait. They are alike, so that only the first can be next."""

    place: LimitScope
    waiting: list[tuple[Ticket, asyncio.Future[None]]] = field(
        default_factory=list[tuple[Ticket, asyncio.Future[None]]]
    )


class Admission:
    """The slots of this process. What others hold that share the database is told by `tell_elsewhere`."""

    def __init__(self) -> None:
        self.active = 0
        """Runs holding a slot."""
        self._active: Counter[Hashable] = Counter()
        self._elsewhere: Mapping[tuple[Scope, str], int] = {}
        self._lines: dict[Group, _Line] = {}
        self._served: dict[Hashable, int] = {}
        self._numbers = itertools.count(1)

    @property
    def queued(self) -> int:
        """Runs waiting for a slot."""
        return sum(len(line.waiting) for line in self._lines.values())

    def held(self, limit: Limit) -> int:
        """Runs that are counted under this limit, those elsewhere included."""
        return self._active[limit.name] + self._elsewhere.get(limit.name, 0)

    def full(self, place: LimitScope) -> Limit | None:
        """The first limit that leaves no room for a run of this place."""
        for limit in place.limits:
            max_runs = limit.max_runs(nested=place.nested)
            if max_runs is not None and self.held(limit) >= max_runs:
                return limit
        return None

    def claim(self, place: LimitScope) -> bool:
        """Take a slot at once; False where it has to wait. Whoever has one calls `leave`.

        Raises TooBusy for a nested run beyond what those may: it would wait for its own caller.
        """
        full = self.full(place)
        if full is not None and place.nested and full.scope != "workflow":
            raise full.too_nested(self.held(full))
        if full is not None or place.group in self._lines:
            return False

        self._take(place)
        return True

    def ticket(self, priority: int = USUAL) -> Ticket:
        """A place in line; keep it to come back to it."""
        return priority, next(self._numbers)

    async def wait(self, place: LimitScope, ticket: Ticket) -> None:
        """Return with a slot, in fair turn. A cancelled wait leaves the line."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line = self._lines.setdefault(place.group, _Line(place))
        heapq.heappush(line.waiting, (ticket, turn))
        self._give_out()

        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(place)
            else:
                self._forget(place.group, turn)

            raise

    def leave(self, place: LimitScope) -> None:
        """Give a slot back, to whoever is next."""
        self._count(place, -1)
        self._give_out()

    def tell_elsewhere(self, held: Mapping[tuple[Scope, str], int]) -> None:
        """What other processes hold now."""
        self._elsewhere = held
        self._give_out()

    def _take(self, place: LimitScope) -> None:
        self._count(place, 1)
        self._served[place.owner] = self._served[place.group] = next(self._numbers)

    def _count(self, place: LimitScope, by: int) -> None:
        self.active += by
        for name in (place.owner, place.group, *(limit.name for limit in place.limits)):
            self._active[name] += by
            if not self._active[name]:
                del self._active[name]

    def _give_out(self) -> None:
        while line := self._next():
            _, turn = heapq.heappop(line.waiting)
            if not line.waiting:
                del self._lines[line.place.group]
            if not turn.done():
                self._take(line.place)
                turn.set_result(None)
        if not self._lines and not self.active:
            self._served.clear()

    def _next(self) -> _Line | None:
        able = [line for line in self._lines.values() if self.full(line.place) is None]
        return min(able, key=self._turn, default=None)

    def _turn(self, line: _Line) -> tuple[int, ...]:
        place, (priority, number) = line.place, line.waiting[0][0]
        owner, group = place.owner, place.group
        return (
            self._active[owner], self._served.get(owner, 0),
            priority, self._active[group], self._served.get(group, 0), number,
        )  # fmt: skip

    def _forget(self, group: Group, turn: asyncio.Future[None]) -> None:
        line = self._lines.get(group)
        if line is None:
            return
        line.waiting = [one for one in line.waiting if one[1] is not turn]
        heapq.heapify(line.waiting)
        if not line.waiting:
            del self._lines[group]
