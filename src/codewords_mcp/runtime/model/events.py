"""Events of a home within one process, from the part where something happened to the parts that it concerns.

`api/container.py` connects the publishers and listeners that do not know each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from codewords_mcp.runtime.model.alert import Alert
from codewords_mcp.runtime.model.live import LiveKind

E = TypeVar("E")
ANY_RUN = "*"
"""Instead of a run's id: more runs than a notification between processes can hold."""


@dataclass(frozen=True, slots=True)
class RunChanged:
    """A run came to this process, left it, or its record is final."""

    run_id: str


@dataclass(frozen=True, slots=True)
class RunLogGrew:
    """Lines of a run's log are stored, or no line comes any more."""

    run_id: str


@dataclass(frozen=True, slots=True)
class RunLeft:
    """A run is no longer active here: it has ended, or this process has released it."""

    run_id: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """A cancellation was requested of the process that holds the run."""

    run_id: str


@dataclass(frozen=True, slots=True)
class RunChangedElsewhere:
    """Another process has changed this run, or any (`ANY_RUN`)."""

    run_id: str


@dataclass(frozen=True, slots=True)
class CallRefused:
    """A call of a run was refused, since its manifest does not list it."""

    run_id: str
    message: str


@dataclass(frozen=True, slots=True)
class EnvironmentLost:
    """The environment of a live version is no longer on disk, and is about to be built again."""

    service_id: str


@dataclass(frozen=True, slots=True)
class SecretsChanged:
    """Secrets were set, deleted or encrypted anew by this process."""


@dataclass(frozen=True, slots=True)
class SecretsChangedElsewhere:
    """Secrets have changed in another process, or may have."""


@dataclass(frozen=True, slots=True)
class DraftsChanged:
    """A draft of this owner was made, changed or deleted."""

    owner: str


@dataclass(frozen=True, slots=True)
class SchedulesChanged:
    """The next time of a schedule may have become earlier."""


@dataclass(frozen=True, slots=True)
class TriggersChanged:
    """A trigger of an event source was added or changed: a look at a source may have become due."""


@dataclass(frozen=True, slots=True)
class WebhooksChanged:
    """A webhook was made or deleted."""


@dataclass(frozen=True, slots=True)
class WaitingPagesChanged:
    """A page begins to wait for a person, or one was answered."""


@dataclass(frozen=True, slots=True)
class AlertsChanged:
    """An alert was made, counted on, answered or resolved."""


@dataclass(frozen=True, slots=True)
class AlertOpened:
    """An alert was not open before, in the eyes of this process."""

    owner: str
    alert: Alert


@dataclass(frozen=True, slots=True)
class AccessChanged:
    """A key was revoked, or a member was removed or has another role."""


@dataclass(frozen=True, slots=True)
class BrowserSessionsChanged:
    """A browser was signed in or out."""


@dataclass(frozen=True, slots=True)
class ListChangedElsewhere:
    """A list has changed in another process, or may have; named as pages are told of it."""

    kind: LiveKind


@dataclass(frozen=True, slots=True)
class DeliveryReceived:
    """A delivery of a webhook waits."""


class EventBus:
    """Calls the listeners of an event at once, in the publisher's task. A listener does not block or raise."""

    def __init__(self) -> None:
        self._listeners: defaultdict[type, list[Callable[[Any], object]]] = defaultdict(list)

    def subscribe(self, event: type[E], listener: Callable[[E], object]) -> None:
        """Call the listener with each such event from now on."""
        self._listeners[event].append(listener)

    def publish(self, event: object) -> None:
        """Call the listeners of this event's type."""
        for listener in self._listeners.get(type(event), ()):
            listener(event)
