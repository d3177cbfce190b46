"""Which providers, models and keys are worth asking now: what failed is left alone for a while, then tried once.

Names are tuples: `(provider,)` for whether it can be reached, `(provider, "model", name)`, `(provider, "key", name)`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Name = tuple[str, ...]
ENOUGH = 5
"""Failures without a success between them, after which a circuit opens."""
FORGOTTEN = 60.0
"""Seconds after which a failure counts no more."""
OPEN, LONGEST = 5.0, 60.0
"""Seconds that a circuit is open at first, and at the most; each failed trial doubles it."""
_KEPT = 1000


@dataclass(slots=True)
class _Trouble:
    failures: int = 0
    last: float = 0.0
    until: float = 0.0


class Health:
    """What is known of each name. Nothing is kept of those that work."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._troubled: dict[Name, _Trouble] = {}

    def left_alone(self, name: Name) -> float:
        """Seconds for which it should not be asked; 0 where it may be."""
        trouble = self._troubled.get(name)
        if trouble is not None:
            return max(0.0, trouble.until - self._clock())
        return 0.0

    def enter(self, name: Name) -> float:
        """As `left_alone`, for who asks it now: of an open circuit whose time is over one call alone is let through."""
        if not self._troubled:
            return 0.0
        left = self.left_alone(name)
        trouble = self._troubled.get(name)
        if not left and trouble is not None and trouble.failures >= ENOUGH:
            trouble.until = self._clock() + OPEN  # for the others, until this one's outcome is known
        return left

    def worked(self, *names: Name) -> None:
        """It answered."""
        if self._troubled:
            for name in names:
                self._troubled.pop(name, None)

    def failed(self, name: Name) -> None:
        """It did not; after `ENOUGH` times it is left alone."""
        trouble, now = self._trouble(name), self._clock()
        if trouble.failures < ENOUGH and now - trouble.last > FORGOTTEN:
            trouble.failures = 0
        trouble.failures, trouble.last = trouble.failures + 1, now
        if trouble.failures >= ENOUGH:
            trouble.until = now + min(LONGEST, OPEN * 2 ** (trouble.failures - ENOUGH))

    def rest(self, name: Name, seconds: float) -> None:
        """It said when to come back, or will not work for a while."""
        trouble = self._trouble(name)
        trouble.until = max(trouble.until, self._clock() + min(LONGEST, seconds))

    def _trouble(self, name: Name) -> _Trouble:
        found = self._troubled.get(name)
        if found is None:
            while len(self._troubled) >= _KEPT:
                del self._troubled[next(iter(self._troubled))]
            found = self._troubled[name] = _Trouble()
        return found
