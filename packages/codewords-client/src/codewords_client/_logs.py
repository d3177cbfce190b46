"""Reading a run's log: NDJSON, one object a line, blank lines as heartbeat, picked up again after a broken connection."""

from __future__ import annotations

import json
from typing import Any, cast

import httpx

from codewords_client._calls import Call, logs_call

Entry = dict[str, Any]
_TRIES = 8
_LONGEST_PAUSE = 5.0


class LogCursor:
    """Position of a reader in one run's log. Makes the next request, and counts failures until it gives up.

    Entries come once and in order, also across reconnections, since `createdAt` rises strictly within a run.
    """

    def __init__(self, request_id: str, *, after: str | None = None, follow: bool = True) -> None:
        self.request_id = request_id
        self.follow = follow
        self._last = after or ""
        self._failures = 0

    def call(self) -> Call:
        """The request for what comes after the last entry seen."""
        return logs_call(self.request_id, after=self._last, follow=self.follow)

    def read(self, line: str) -> Entry | None:
        """The entry in a line; None for a heartbeat and for what was seen before."""
        # A heartbeat too proves that the connection works again.
        self._failures = 0
        if not line.strip():
            return None

        entry = _entry(line)
        stamp = str(entry.get("createdAt") or "")
        if stamp:
            # ISO times in UTC of one width, so text compares as time does. A reconnection may
            # repeat an entry.
            if stamp <= self._last:
                return None
            self._last = stamp

        return entry

    def pause(self, error: httpx.TransportError) -> float:
        """Seconds to wait before the next try. Raises the error itself after eight tries in vain."""
        self._failures += 1
        if self._failures >= _TRIES:
            raise error
        # Twice as long each time, so that a runtime that restarts is not flooded.
        return min(0.1 * 2**self._failures, _LONGEST_PAUSE)


def _entry(line: str) -> Entry:
    try:
        found = json.loads(line)
    except ValueError:
        # Something in between may write plain text, such as a proxy's error.
        found = None
    if isinstance(found, dict):
        return cast("Entry", found)
    return {"message": line}
