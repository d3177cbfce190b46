"""What a sandbox tried to reach."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

MAX_EVENTS = 1000
"""Events kept per sandbox; older ones make room."""


@dataclass(frozen=True, slots=True)
class EgressEvent:
    """One attempt to connect, or one request on an intercepted connection.

    `host` is the name or address asked for (always in the form of one, so safe to show), `address` the resolved
    one. `allowed` is the policy's word; `reason` says why not, or why an allowed one failed; empty when it stood.
    """

    at: datetime
    host: str
    port: int
    address: str | None
    allowed: bool
    reason: str = ""
    kind: Literal["connection", "request"] = "connection"
    secrets: tuple[str, ...] = ()
    """Names of the secrets whose values went with the request."""


class EventLog:
    """The last events of one sandbox; each also goes to `listener`."""

    def __init__(self, listener: Callable[[EgressEvent], None]) -> None:
        self._events: deque[EgressEvent] = deque(maxlen=MAX_EVENTS)
        self._listener = listener

    def add(self, host: str, port: int, address: str | None, *, allowed: bool, reason: str = "") -> None:
        """Note an attempt of now."""
        event = EgressEvent(datetime.now(UTC), host, port, address, allowed, reason)
        self._events.append(event)
        self._listener(event)

    def request(self, host: str, port: int, *, secrets: tuple[str, ...] = (), refused: str = "") -> None:
        """Note a request with secrets, or one that did not go out and why."""
        event = EgressEvent(
            datetime.now(UTC), host, port, None, not refused, refused, kind="request", secrets=secrets
        )
        self._events.append(event)
        self._listener(event)

    def all(self) -> tuple[EgressEvent, ...]:
        """The events, oldest first."""
        return tuple(self._events)
