"""What a broker of integrations does. Nothing here is of one broker's; `connect.py` is Pipedream's.

Triggers have no place yet: they would be a fourth part of this protocol (`listen`, `unlisten`), with events that come in
by the runtime's webhooks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from codewords_mcp.runtime.model.integration import Account, Action, App, Option, Prop


@dataclass(frozen=True, slots=True)
class Dynamic:
    """The fields that an action has with what is set already. `id` goes with every later call about them."""

    id: str | None
    props: tuple[Prop, ...]


@dataclass(frozen=True, slots=True)
class ConnectUrl:
    """Where a person connects an account, and until when (seconds since 1970)."""

    url: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class Ran:
    """What an action gave; `error` is its own sentence where it failed, which is data."""

    ret: Any
    exports: dict[str, Any]
    os: tuple[dict[str, Any], ...]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Configured:
    """An action with what is set of it, the account put in, in the broker's own form."""

    action: Action
    props: dict[str, Any]
    dynamic_id: str | None = None


@runtime_checkable
class IntegrationBroker(Protocol):
    """One project of the home's at a broker. `user` is whose accounts are meant; each sees their own only.

    Every method raises MissingCredential where the project is not configured or refused, TooBusy (retry_after),
    UpstreamFailed and UpstreamTimedOut. Only `run` changes anything, and it is never made twice.
    """

    async def project(self) -> str | None:
        """Names the project, None where none is configured. Never raises."""
        ...

    async def apps(self, cursor: str | None) -> tuple[list[App], str | None]:
        """A page of all apps, and the cursor of the next one."""
        ...

    async def actions(self, cursor: str | None) -> tuple[list[Action], str | None]:
        """A page of all actions, with their fields."""
        ...

    async def schema(self, key: str) -> Action:
        """One action as it is now. Raises NotFound."""
        ...

    async def options(self, user: str, asked: Configured, prop: str, query: str | None) -> list[Option]:
        """Values that a field takes. Raises IntegrationFailed where the app does not tell."""
        ...

    async def reload(self, user: str, asked: Configured) -> Dynamic:
        """The fields there are with what is set. Raises IntegrationFailed."""
        ...

    async def accounts(self, user: str, app: str | None = None) -> list[Account]:
        """Those that are connected, the newest first."""
        ...

    async def connect(self, user: str, app: str, back: str) -> ConnectUrl:
        """A link for a person, who comes back to the address `back`. Raises NotFound for an app there is not."""
        ...

    async def disconnect(self, user: str, account: str) -> None:
        """Forget an account. Raises NotFound."""
        ...

    async def run(self, user: str, asked: Configured, seconds: float) -> Ran:
        """Carry the action out, once. Raises Conflict where the account cannot be used."""
        ...
