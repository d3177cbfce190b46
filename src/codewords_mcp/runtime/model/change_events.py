"""Change events within one process, so that clients read their lists again at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

Change = Literal["workflows", "tools"]
Listener = Callable[[str, Change], None]
"""`listener(owner, change)`; it returns at once and never raises."""


class Announcements:
    """Subscribers of one event loop."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Subscribe. Returns a function that ends the subscription."""
        self._listeners.append(listener)
        return functools.partial(self._listeners.remove, listener)

    def announce(self, owner: str, change: Change) -> None:
        """Notify all subscribers of a change to one of this owner's lists."""
        for listener in list(self._listeners):
            listener(owner, change)
