"""Cost of a machine: E2B bills its allocation by the second while it runs and is not paused."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from codewords_mcp.settings import Settings


@dataclass(frozen=True, slots=True)
class MachineSize:
    """A machine's allocation."""

    cpus: int
    memory_mb: int

    def per_second(self, settings: Settings) -> float:
        """US dollars."""
        return self.cpus * settings.e2b_cpu_price + self.memory_mb / 1024 * settings.e2b_memory_price


@dataclass(slots=True)
class CostMeter:
    """Seconds since a machine was made, and of these the ones it ran. Stops once."""

    began: float = field(default_factory=time.monotonic)
    _paused_at: float | None = None
    _paused: float = 0.0
    _stopped: float | None = None

    @property
    def wall(self) -> float:
        """Seconds since it was made, up to its end."""
        return (self._stopped or time.monotonic()) - self.began

    @property
    def billed(self) -> float:
        """Seconds that it ran."""
        now = self._stopped or time.monotonic()
        # A pause that goes on counts up to now.
        return (
            now - self.began - self._paused - (now - self._paused_at if self._paused_at is not None else 0.0)
        )

    def pause(self) -> None:
        """It is paused from now on. Idempotent."""
        if self._paused_at is None:
            self._paused_at = time.monotonic()

    def resume(self) -> None:
        """It runs again. Idempotent."""
        if self._paused_at is not None:
            self._paused += time.monotonic() - self._paused_at
            self._paused_at = None

    def stop(self) -> None:
        """It is over. Idempotent."""
        self._stopped = self._stopped or time.monotonic()
