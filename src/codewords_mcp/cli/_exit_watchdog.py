"""Ends the process where its orderly end takes too long: a disk or a server may hold it up for ever."""

from __future__ import annotations

import os
import threading
import time
from typing import Final

import structlog

ENDED_BY_WATCHDOG: Final = 1
log = structlog.get_logger(__name__)


class ExitWatchdog:
    """A thread that ends the process at the deadline, whatever its event loop and other threads wait for.

    It is started beforehand: when the process has to end, the machine may have no thread to give.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._exit_code = ENDED_BY_WATCHDOG
        threading.Thread(target=self._run, name="exit-watchdog", daemon=True).start()

    def exit_within(self, seconds: float, exit_code: int = ENDED_BY_WATCHDOG) -> None:
        """End the process after `seconds` at the latest. A deadline only moves to an earlier time."""
        deadline = time.monotonic() + seconds
        with self._changed:
            if self._deadline is None or deadline < self._deadline:
                self._deadline, self._exit_code = deadline, exit_code
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._deadline is not None)
            while (left := (self._deadline or 0.0) - time.monotonic()) > 0:
                self._changed.wait(left)
        if self._exit_code == ENDED_BY_WATCHDOG:
            log.error("orderly end timed out")
        # Without the interpreter's own end, which joins threads that may hang.
        os._exit(self._exit_code)
