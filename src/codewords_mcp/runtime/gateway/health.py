"""Circuit breakers for providers, models and keys: a failing one is skipped for a while, then tried
once.

Names are tuples: `(provider,)` for its reachability, `(provider, "model", name)`, `(provider,
"key", name)`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Name = tuple[str, ...]
OPEN_AFTER_FAILURES = 5
"""Consecutive failures after which a circuit opens."""
FAILURE_TTL = 60.0
"""Seconds after which a failure no longer counts."""
OPEN_TIMEOUT, MAX_OPEN_TIMEOUT = 5.0, 60.0
"""Seconds that a circuit is open at first, and at most. Each failed trial doubles it."""
_MAX_NAMES = 1000


@dataclass(slots=True)
class _CircuitState:
    failures: int = 0
    last: float = 0.0
    until: float = 0.0


class Health:
    """Circuit state of each failing name. Working names take no memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._circuits: dict[Name, _CircuitState] = {}

    def blocked_for(self, name: Name) -> float:
        """Seconds for which the name should be skipped; 0 if it may be called."""
        circuit = self._circuits.get(name)
        if circuit is not None:
            return max(0.0, circuit.until - self._clock())
        return 0.0

    def enter(self, name: Name) -> float:
        """Like `blocked_for`, for a caller that calls now.

        An expired circuit lets a single call through.
        """
        if not self._circuits:
            return 0.0
        blocked = self.blocked_for(name)
        circuit = self._circuits.get(name)
        if not blocked and circuit is not None and circuit.failures >= OPEN_AFTER_FAILURES:
            # For the others, until this one's outcome is known.
            circuit.until = self._clock() + OPEN_TIMEOUT
        return blocked

    def record_success(self, *names: Name) -> None:
        """Close the circuits of these names."""
        if self._circuits:
            for name in names:
                self._circuits.pop(name, None)

    def record_failure(self, name: Name) -> None:
        """Count a failure. `OPEN_AFTER_FAILURES` of them open the circuit."""
        circuit, now = self._circuit(name), self._clock()
        # Failures far apart are no pattern.
        if circuit.failures < OPEN_AFTER_FAILURES and now - circuit.last > FAILURE_TTL:
            circuit.failures = 0
        circuit.failures, circuit.last = circuit.failures + 1, now
        if circuit.failures >= OPEN_AFTER_FAILURES:
            circuit.until = now + min(
                MAX_OPEN_TIMEOUT, OPEN_TIMEOUT * 2 ** (circuit.failures - OPEN_AFTER_FAILURES)
            )

    def rest(self, name: Name, seconds: float) -> None:
        """Open the circuit for a time that the provider named or its error implies."""
        circuit = self._circuit(name)
        circuit.until = max(circuit.until, self._clock() + min(MAX_OPEN_TIMEOUT, seconds))

    def _circuit(self, name: Name) -> _CircuitState:
        found = self._circuits.get(name)
        if found is None:
            # Model names come from callers, so the number of circuits must be bounded.
            while len(self._circuits) >= _MAX_NAMES:
                del self._circuits[next(iter(self._circuits))]
            found = self._circuits[name] = _CircuitState()
        return found
