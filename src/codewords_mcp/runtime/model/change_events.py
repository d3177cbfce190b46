"""Change events within one process, so that clients read their lists again at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

from codewords_mcp.runtime.model.alert import Alert

Change = Literal["workflows", "tools"]
Listener = Callable[[str, Change], None]
"""`listener(owner, change)`; it returns at once and never raises."""


AlertListener = Callable[[str, Alert], None]
"""`listener(owner, alert)`; it returns at once and never raises."""


class Announcements:
    """Subscribers of one event loop."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._alert_listeners: list[AlertListener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Subscribe. Returns a function that ends the subscription."""
        self._listeners.append(listener)
        return functools.partial(self._listeners.remove, listener)

    def listen_to_alerts(self, listener: AlertListener) -> Callable[[], None]:
        """Subscribe to alerts that open. Returns a function that ends the subscription."""
        self._alert_listeners.append(listener)
        return functools.partial(self._alert_listeners.remove, listener)

    def announce_alert(self, owner: str, alert: Alert) -> None:
        """Notify all subscribers of an alert of this owner that opened."""
        for listener in list(self._alert_listeners):
            listener(owner, alert)

    def announce(self, owner: str, change: Change) -> None:
        """Notify all subscribers of a change to one of this owner's lists."""
        for listener in list(self._listeners):
            listener(owner, change)
