"""Threads of the stdio proxy, on `_thread`: the import of `threading` is a twentieth of the proxy's start."""

from __future__ import annotations

from _thread import allocate_lock


class Latch:
    """An event that comes once."""

    def __init__(self) -> None:
        self._closed = allocate_lock()
        self._closed.acquire()
        self._setting = allocate_lock()

    def set(self) -> None:
        """Open the latch for all who wait, and for good."""
        # The first alone opens it: a lock may not be released twice.
        if self._setting.acquire(blocking=False):
            self._closed.release()

    def is_set(self) -> bool:
        """True if the event has come."""
        return self._setting.locked()

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; whether the event has come."""
        if not self._closed.acquire(timeout=timeout):
            return False
        self._closed.release()
        return True
