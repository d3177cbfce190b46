"""The protocol of a broker of integrations. Nothing here is specific to one; `pipedream.py`
implements it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from codewords_mcp.common.bounded_json import JsonObject
from codewords_mcp.runtime.model.integration import Account, Action, App, EmittedEvent, Option, Prop


@dataclass(frozen=True, slots=True)
class DynamicProps:
    """The fields of an action after some were set. `id` is sent with every later call about them."""

    id: str | None
    props: tuple[Prop, ...]


@dataclass(frozen=True, slots=True)
class ConnectUrl:
    """The address at which a person connects an account, and its expiry (seconds since 1970)."""

    url: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class BrokerRunResult:
    """The result of an action. `error` is the app's own message if it failed; it is data."""

    ret: Any
    exports: dict[str, Any]
    os: tuple[dict[str, Any], ...]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ConfiguredAction:
    """An action with its set fields and the chosen account, in the broker's own format."""

    action: Action
    props: dict[str, Any]
    dynamic_id: str | None = None


@runtime_checkable
class IntegrationBroker(Protocol):
    """One project of the home at a broker. `user` selects whose accounts are used; each user sees
    only their own.

    Every method raises MissingCredential if the project is not configured or refused, TooBusy
    (retry_after), UpstreamFailed and UpstreamTimedOut. Only `run` changes anything, and it is never
    retried.
    """

    async def project(self) -> str | None:
        """Return the project's name, None if none is configured. Never raises."""
        ...

    async def apps(self, cursor: str | None) -> tuple[list[App], str | None]:
        """Return a page of all apps, and the cursor of the next one."""
        ...

    async def actions(self, cursor: str | None) -> tuple[list[Action], str | None]:
        """Return a page of all actions with their fields, and the cursor of the next one."""
        ...

    async def schema(self, key: str) -> Action:
        """Return one action in its current version. Raises NotFound."""
        ...

    async def options(
        self, user: str, configured: ConfiguredAction, prop: str, query: str | None
    ) -> list[Option]:
        """List the values of a field. Raises IntegrationFailed if the app reports an error."""
        ...

    async def reload(self, user: str, configured: ConfiguredAction) -> DynamicProps:
        """Return the fields of an action after some were set. Raises IntegrationFailed."""
        ...

    async def accounts(self, user: str, app: str | None = None) -> list[Account]:
        """List the connected accounts, newest first."""
        ...

    async def connect(self, user: str, app: str, back: str) -> ConnectUrl:
        """Make a link for a person, who returns to the address `back`. Raises NotFound for an
        unknown app.
        """
        ...

    async def disconnect(self, user: str, account: str) -> None:
        """Delete an account. Raises NotFound."""
        ...

    async def run(self, user: str, configured: ConfiguredAction, seconds: float) -> BrokerRunResult:
        """Run the action, once. Raises Conflict if the account can't be used."""
        ...


@dataclass(frozen=True, slots=True)
class DeployedTrigger:
    """A trigger that the broker runs for an account. `props` are its fields in the broker's own format."""

    id: str
    key: str
    props: JsonObject
    created_at_ms: int


class EventBroker(Protocol):
    """The event triggers of the same project. Every method raises the errors of `IntegrationBroker`."""

    async def triggers(self, app: str, query: str) -> list[Action]:
        """List the event triggers of an app that fit the words, those of all for none."""
        ...

    async def deploy(self, user: str, configured: ConfiguredAction) -> str:
        """Deploy an event trigger, once, and return its id. What was there before emits nothing."""
        ...

    async def deployed(self, user: str) -> list[DeployedTrigger]:
        """List the deployed triggers of a user."""
        ...

    async def set_active(self, user: str, deployed: str, *, active: bool) -> None:
        """Let a deployed trigger emit events, or emit none. Raises NotFound."""
        ...

    async def set_address(self, user: str, deployed: str, address: str | None) -> None:
        """Set the only address to which events are sent, None for none. Raises NotFound."""
        ...

    async def remove(self, user: str, deployed: str, *, forced: bool) -> None:
        """Delete a deployed trigger; `forced`: also where its app does not let go of it. Raises NotFound."""
        ...

    async def emitted(self, user: str, deployed: str) -> list[EmittedEvent]:
        """Return the latest events, the oldest first. Raises NotFound."""
        ...
