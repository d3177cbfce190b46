"""Contract between the engine of triggers and its event sources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.runtime.model.integration import AppEventChoice, AppResponse, EmittedEvent
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


class AppEventCalls(Protocol):
    """Events of connected apps, and their triggers at the broker that runs them. Each raises the broker's faults."""

    async def prepare(self, owner: str, choice: AppEventChoice) -> JsonObject:
        """Check a choice, and return what is deployed for it. Raises InvalidInput, NotConnected, NotFound."""
        ...

    async def deploy(self, owner: str, prepared: JsonObject) -> str:
        """Deploy what was prepared, once. Returns the id of the deployed trigger."""
        ...

    async def find_deployed(
        self, owner: str, prepared: JsonObject, since: datetime | None, known: Collection[str]
    ) -> str | None:
        """Return a trigger that was deployed so, and is none of the `known`; None without one."""
        ...

    async def set_active(self, owner: str, deployed: str, *, active: bool) -> None:
        """Let a deployed trigger emit events, or emit none. Raises NotFound."""
        ...

    async def set_address(self, owner: str, deployed: str, address: str | None) -> None:
        """Set the address that is told of each event; None for none. Raises NotFound."""
        ...

    async def remove(self, owner: str, deployed: str, *, forced: bool) -> None:
        """Delete a deployed trigger. Raises NotFound."""
        ...

    async def emitted(self, owner: str, deployed: str) -> list[EmittedEvent]:
        """Return the latest events of a deployed trigger, the oldest first. Raises NotFound."""
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

    @property
    def app_events(self) -> AppEventCalls:
        """The events of connected apps."""
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
    deploys: ClassVar[bool] = False
    """Whether something is set up elsewhere before the first look: see `DeployedSource`."""
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


class DeployedSource(EventSource[OptionsT]):
    """Kind of event source whose triggers are set up elsewhere: each is deployed while it is active, and taken down after.

    The state of a look has the id of what is deployed as `deployed`. A state without `seen` begins anew: what is there
    already starts nothing.
    """

    deploys = True

    @abstractmethod
    async def prepare(self, options: OptionsT, tools: SourceTools) -> JsonObject:
        """Check options, and return everything that `deploy` and `find` need; `account` is the account that is used."""

    @abstractmethod
    async def deploy(self, prepared: JsonObject, tools: SourceTools) -> str:
        """Set it up, once: the engine looks by `find` before it asks again. Returns its id."""

    @abstractmethod
    async def find(
        self, prepared: JsonObject, since: datetime, known: Collection[str], tools: SourceTools
    ) -> str | None:
        """Return the id of what a `deploy` after `since` made whose answer was lost; `known` ids are others'."""

    @abstractmethod
    async def set_active(self, deployed: str, tools: SourceTools, *, active: bool) -> None:
        """Switch it on or off. Raises NotFound where it is gone."""

    @abstractmethod
    async def set_address(self, deployed: str, address: str | None, tools: SourceTools) -> None:
        """Have it tell this address of each event; None for none. Raises NotFound where it is gone."""

    @abstractmethod
    async def remove(self, deployed: str, tools: SourceTools, *, forced: bool) -> None:
        """Take it down; `forced` after several failures. Raises NotFound where it is gone."""
