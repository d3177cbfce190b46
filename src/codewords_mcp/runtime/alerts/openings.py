"""Finds alerts that open, in every process of a home: each has chats of its own to tell."""

from __future__ import annotations

from codewords_mcp.runtime.model.events import AlertOpened, AlertsChanged, EventBus
from codewords_mcp.runtime.runs.poll_loop import PollLoop
from codewords_mcp.runtime.store import alerts
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

LOOK_INTERVAL = 3600.0


class AlertOpenings(PollLoop):
    """Publishes `AlertOpened` for each alert that opens while this process runs, but for muted kinds."""

    def __init__(self, database: Database, events: EventBus) -> None:
        super().__init__("alerts are not told in chats", 5.0)
        self._db = database
        self._events = events
        self._since = now()
        self._known: dict[str, int] = {}
        events.subscribe(AlertsChanged, lambda _: self.wake())

    async def poll(self) -> float:
        """See `PollLoop`."""
        found = await self._db.read(alerts.opened_since, self._since)
        for owner, opened_at, alert in found:
            # One that was over may open again.
            if self._known.get(alert.id) != opened_at:
                self._events.publish(AlertOpened(owner, alert))
        self._known = {alert.id: opened_at for _, opened_at, alert in found}
        return LOOK_INTERVAL
