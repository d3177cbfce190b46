"""Wait for a result by polling. A status of 408 or 504 means that the run has not finished yet."""

from __future__ import annotations

import time

import httpx

from codewords_client._calls import POLL, Call, result_call
from codewords_client._errors import CodewordsTimeout

_PENDING = frozenset({408, 504})
# Least seconds between two polls, for a runtime (or a proxy before it) that answers without
# waiting.
_PAUSE = 0.5


class Poll:
    """Polls for one run's result until `seconds` are over."""

    def __init__(self, request_id: str, seconds: float) -> None:
        self.request_id = request_id
        self.seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._polled_at = 0.0

    def call(self) -> Call:
        """The next poll; its wait ends with the deadline at the latest."""
        self._polled_at = time.monotonic()
        # A wait of 0 asks for the state now, so the last poll cannot miss a run that has just
        # ended.
        return result_call(self.request_id, min(POLL, max(0, round(self._deadline - self._polled_at))))

    def pause(self, response: httpx.Response) -> float | None:
        """Seconds to wait before the next poll; None where this is the answer. Raises CodewordsTimeout at the deadline."""
        if response.status_code not in _PENDING:
            return None
        now = time.monotonic()
        if now >= self._deadline:
            raise CodewordsTimeout(
                f"Run {self.request_id} did not finish within {self.seconds:g} seconds. It goes on; ask for its result again.",
                request=response.request,
            )
        return max(0.0, min(self._polled_at + _PAUSE, self._deadline) - now)
