"""Changes of a home as they happen, for the pages of a person that stay open.

A change names what to read again, never what is there now: a page asks the API for that, with its own rights.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from functools import partial

from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.change_events import Change
from codewords_mcp.runtime.model.events import (
    ANY_RUN,
    AccessChanged,
    AlertsChanged,
    BrowserSessionsChanged,
    DraftsChanged,
    ListChangedElsewhere,
    RunChanged,
    RunChangedElsewhere,
    SchedulesChanged,
    SecretsChanged,
    SecretsChangedElsewhere,
    TriggersChanged,
    WaitingPagesChanged,
    WebhooksChanged,
)
from codewords_mcp.runtime.model.live import LiveChange, LiveKind
from codewords_mcp.runtime.store import runs as run_rows

HEARTBEAT = 15.0
"""Seconds of silence after which a follower gets None."""
GATHERED_FOR = 0.1
"""Seconds in which changes are gathered into one batch, so that a busy home does not read a row for each of them."""
MAX_FOLLOWERS = 50
"""Of one owner: the oldest ends beyond it. A browser opens its page again by itself."""
MAX_RUNS = 200
"""Runs in one batch. Beyond it a page reads its list of runs again."""


@dataclass(slots=True, eq=False)
class _Follower:
    """A page that follows, with the changes it has not been told yet. `kinds` are lists that changed as a whole."""

    owner: str
    runs: set[str] = field(default_factory=set[str])
    kinds: set[LiveKind] = field(default_factory=set[LiveKind])
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    def note(self, *, run_id: str | None = None, kind: LiveKind | None = None) -> None:
        """Remember a change until the follower takes it."""
        # A page that nobody reads must not gather ids without end.
        if run_id is not None and len(self.runs) < MAX_RUNS:
            self.runs.add(run_id)
        elif run_id is not None:
            self.kinds.add("runs")
        if kind is not None:
            self.kinds.add(kind)

        self.changed.set()

    def take(self) -> tuple[set[str], set[LiveKind]]:
        """Take the ids and lists that were noted."""
        taken = self.runs, self.kinds
        self.runs, self.kinds = set(), set()
        self.changed.clear()
        return taken


class ChangeApi:
    """Followers of the changes of a home. It costs nothing while nobody follows."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._followers: list[_Follower] = []
        listen = container.events.subscribe
        listen(RunChanged, self._on_run)
        listen(RunChangedElsewhere, self._on_run)
        listen(DraftsChanged, self._on_drafts)
        listen(SchedulesChanged, self._on_list("schedules"))
        listen(TriggersChanged, self._on_list("schedules"))
        listen(SecretsChanged, self._on_list("secrets"))
        listen(SecretsChangedElsewhere, self._on_list("secrets"))
        listen(WaitingPagesChanged, self._on_list("inbox"))
        listen(AlertsChanged, self._on_list("inbox"))
        listen(WebhooksChanged, self._on_list("webhooks"))
        listen(BrowserSessionsChanged, self._on_list("sessions"))
        listen(AccessChanged, self._on_list("sessions"))
        listen(ListChangedElsewhere, self._on_list_elsewhere)
        container.announcements.listen(self._on_announcement)
        container.page_sessions.on_change = partial(container.events.publish, BrowserSessionsChanged())
        container.members.on_change = self._on_removal

    def _on_removal(self) -> None:
        """Let pages read again what a member's removal ended: sessions, and questions that waited."""
        self._container.events.publish(BrowserSessionsChanged())
        self._container.events.publish(WaitingPagesChanged())

    async def follow(self, caller: Caller) -> AsyncGenerator[list[LiveChange]]:
        """Yield the changes that concern the caller in batches, an empty one about every 15 s; until the caller goes.

        Raises Forbidden for a run's key.
        """
        refuse_run(caller, "follow the changes of a home")
        follower = _Follower(caller.owner)
        self._admit(follower)

        try:
            # At once, so that the answer's head arrives before the first change.
            yield []

            while not follower.ended:
                yield await self._next(follower)
        finally:
            if follower in self._followers:
                self._followers.remove(follower)

    def close(self) -> None:
        """End all followers, since the runtime ends. Browsers connect anew by themselves."""
        for follower in list(self._followers):
            self._end(follower)

    async def _next(self, follower: _Follower) -> list[LiveChange]:
        try:
            async with asyncio.timeout(HEARTBEAT):
                await follower.changed.wait()
        except TimeoutError:
            return []

        if not follower.ended:
            await asyncio.sleep(GATHERED_FOR)
        runs, kinds = follower.take()
        # The connection to the database was lost for a while, so it is not known which runs changed.
        if ANY_RUN in runs:
            runs.clear()
            kinds.add("runs")

        lists = [LiveChange(kind=kind) for kind in sorted(kinds)]
        if not runs:
            return lists

        # The owner's only: who follows learns nothing of other owners' runs, not even that there are some.
        found = await self._container.database.read(run_rows.brief, follower.owner, sorted(runs))
        return lists + [
            LiveChange(kind="run", id=run.id, service_id=run.service_id, status=run.status) for run in found
        ]

    def _admit(self, follower: _Follower) -> None:
        of_owner = [other for other in self._followers if other.owner == follower.owner]
        if len(of_owner) >= MAX_FOLLOWERS:
            # Followers are kept in the order in which they came.
            oldest = of_owner[0]
            self._end(oldest)

        self._followers.append(follower)

    def _end(self, follower: _Follower) -> None:
        self._followers.remove(follower)
        follower.ended = True
        follower.changed.set()

    def _on_run(self, event: RunChanged | RunChangedElsewhere) -> None:
        for follower in self._followers:
            follower.note(run_id=event.run_id)

    def _on_drafts(self, event: DraftsChanged) -> None:
        for follower in self._followers:
            if follower.owner == event.owner:
                follower.note(kind="drafts")

    def _on_list(self, kind: LiveKind) -> Callable[[object], None]:
        def note(_event: object) -> None:
            for follower in self._followers:
                follower.note(kind=kind)

        return note

    def _on_list_elsewhere(self, event: ListChangedElsewhere) -> None:
        self._on_list(event.kind)(event)

    def _on_announcement(self, owner: str, change: Change) -> None:
        for follower in self._followers:
            if follower.owner == owner and change == "workflows":
                follower.note(kind="workflows")
