"""Contract between the engine of triggers and its event sources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.runtime.model.integration import AppResponse
from codewords_mcp.runtime.web.client import Web

MAX_STATE_BYTES = 64 << 10
"""Bytes of a state as JSON."""
MAX_EVENT_BYTES = 1 << 20
"""Bytes of an event's data as JSON. Larger content belongs into a file: `SourceTools.keep_file`."""
MIN_INTERVAL_S, MAX_INTERVAL_S = 10.0, 30 * 86400.0
"""Bounds of the pause between two polls that a person may set."""
OptionsT = TypeVar("OptionsT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """One thing that happened. `key` is unique within its trigger; the engine hashes keys longer than 200 characters."""

    key: str
    data: JsonValue
    """The JSON body of the run that the event starts."""
    at: datetime | None = None
    """The time of the event by its source."""


@dataclass(frozen=True, slots=True)
class Polled:
    """The outcome of a poll. `events` are in order, oldest first; the engine drops those whose key it has."""

    events: Sequence[SourceEvent]
    state: JsonValue
    """Given to the next poll; at most `MAX_STATE_BYTES`."""
    more: bool = False
    """There was more than one page: poll again as soon as these events are stored."""


class AppCalls(Protocol):
    """Calls of an app's API with the token of a connected account."""

    async def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Any = None
    ) -> JsonValue:
        """Return the response's JSON. Raises AppNotConnected if the token is refused, TooBusy, IntegrationFailed."""
        ...

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> AppResponse:
        """Return the response with its headers, also one that is not modified. Raises as `request`."""
        ...


class SourceTools(Protocol):
    """Everything that a source may use, for one trigger."""

    @property
    def web(self) -> Web:
        """The guarded HTTP client: `fetch` for addresses that a person gave."""
        ...

    @property
    def owner(self) -> str:
        """The trigger's owner."""
        ...

    @property
    def now(self) -> Callable[[], datetime]:
        """The current time in UTC."""
        ...

    async def secret(self, name: str, host: str) -> str:
        """Return the owner's secret. Raises NotConnected where it is not set, Forbidden where its rule excludes the host.

        `host` may end in a port, like `imap.example.org:993`; without one it is 443.
        """
        ...

    async def native(self, app: str) -> AppCalls:
        """Return the calls of an app by the owner's own token, as `integrations/native_table.py` names it.

        Raises AppNotConnected, Forbidden where the secret's rule excludes the app's host.
        """
        ...

    def watched_folder(self, path: str) -> Path:
        """Return the real path of a folder of this machine that the operator allows. Blocks.

        Raises Forbidden, InvalidInput, NotFound.
        """
        ...

    async def keep_file(self, name: str, content: bytes, content_type: str) -> str:
        """Keep a file for the usual time. Returns its link. Raises BodyTooLarge, StorageFailed."""
        ...


class EventSource(ABC, Generic[OptionsT]):
    """Kind of event source. One instance serves all triggers of its kind, so it keeps nothing of one itself.

    Faults are CodewordsErrors whose message a person can act on. The engine polls a trigger never twice at once.
    """

    kind: ClassVar[str]
    """Short name in snake_case."""
    title: ClassVar[str]
    """A few words for people, such as "RSS or Atom feed"."""
    interval_s: ClassVar[float]
    """Seconds between two polls by default."""
    min_interval_s: ClassVar[float] = MIN_INTERVAL_S
    """The shortest pause that a person may set."""
    polled: ClassVar[bool] = True
    """Whether the engine polls. Events of other sources are recorded where they happen."""
    Options: type[OptionsT]
    """Model of the options that a person gives. Its JSON Schema is shown to people and models, so fields have a description."""

    @abstractmethod
    async def poll(self, options: OptionsT, state: JsonValue | None, tools: SourceTools) -> Polled:
        """Look for events since `state`.

        `state` is None at the first look, which sets the state to now and returns no events.
        """

    @abstractmethod
    async def sample(self, options: OptionsT, tools: SourceTools) -> SourceEvent | None:
        """Return the newest item as an event, for a test before the trigger is switched on; None where there is none."""
