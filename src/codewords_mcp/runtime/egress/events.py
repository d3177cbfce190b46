"""Events of a sandbox's connections and requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

MAX_EVENTS = 1000
"""Events per sandbox; the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class EgressEvent:
    """One connection attempt, or one request on an intercepted connection.

    `host` is the requested name or address, always well-formed and so safe to show. `address` is
    the resolved one. `allowed` is the policy's decision. `reason` says why it was refused, or why
    an allowed attempt failed; empty after success.
    """

    at: datetime
    host: str
    port: int
    address: str | None
    allowed: bool
    reason: str = ""
    kind: Literal["connection", "request"] = "connection"
    secrets: tuple[str, ...] = ()
    """Names of the secrets whose values were sent with the request."""


class EventLog:
    """The latest events of one sandbox. Each is also passed to `listener`."""

    def __init__(self, listener: Callable[[EgressEvent], None]) -> None:
        self._events: deque[EgressEvent] = deque(maxlen=MAX_EVENTS)
        self._listener = listener

    def add(self, host: str, port: int, address: str | None, *, allowed: bool, reason: str = "") -> None:
        """Record a connection attempt, at the current time."""
        event = EgressEvent(datetime.now(UTC), host, port, address, allowed, reason)
        self._events.append(event)
        self._listener(event)

    def request(self, host: str, port: int, *, secrets: tuple[str, ...] = (), refused: str = "") -> None:
        """Record a request with secrets, or a refused one with the reason."""
        event = EgressEvent(
            datetime.now(UTC), host, port, None, not refused, refused, kind="request", secrets=secrets
        )
        self._events.append(event)
        self._listener(event)

    def all(self) -> tuple[EgressEvent, ...]:
        """The events, oldest first."""
        return tuple(self._events)
