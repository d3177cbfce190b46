"""What has changed, told at once to whoever listens in this process: lists that clients keep are then read anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Change = Literal["workflows", "tools"]
Listener = Callable[[str, Change], None]
"""`listener(owner, change)`; it returns at once and never raises."""


class Announcements:
    """For one event loop."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell it from now on; what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def announce(self, owner: str, change: Change) -> None:
        """Something of this owner's has changed."""
        for listener in list(self._listeners):
            listener(owner, change)
