"""Events of connected apps: which there are, and their triggers at the broker, for one owner at a time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final, cast

from codewords_mcp.common.bounded_json import JsonObject
from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.integrations.accounts import ConnectedAccounts
from codewords_mcp.runtime.integrations.base import ConfiguredAction, EventBroker
from codewords_mcp.runtime.integrations.configure import configure_props, require_complete
from codewords_mcp.runtime.model import integration_names as names
from codewords_mcp.runtime.model.integration import Action, AppEventChoice, EmittedEvent

CLOCK_DIFFERENCE: Final = timedelta(minutes=10)
"""By which the broker's clock may differ from ours."""
_LISTED: Final = 12
_SERVICES: Final = ("$.interface", "$.service")
"""Types of fields that the broker fills by itself: its address, its timer, its memory."""


class AppEvents:
    """Events of apps. All methods also raise the errors of the broker (see `base.EventBroker`)."""

    def __init__(self, broker: EventBroker, accounts: ConnectedAccounts) -> None:
        self._broker = broker
        self._accounts = accounts

    async def find(self, app: str, words: str = "") -> list[Action]:
        """List the events of an app that fit the words, those of all when none are given."""
        slug = names.app_of(app)
        found = await self._broker.triggers(slug, words)
        # The broker's search wants all words; a person's are a description.
        if not found and words:
            found = await self._broker.triggers(slug, "")
        return found

    async def prepare(self, owner: str, choice: AppEventChoice) -> JsonObject:
        """Check a choice, and return what is deployed for it: `key`, `version`, `props` and `account`.

        Raises InvalidInput that lists the events or names the missing fields, AppNotConnected, NotFound.
        """
        event = await self._resolve(choice)
        accounts = await self._accounts.choose_accounts(owner, event, choice.account)
        props = configure_props(event, choice.props, accounts)
        fields = [prop for prop in event.props if not prop.type.startswith(_SERVICES)]
        require_complete(event.model_copy(update={"props": tuple(fields)}), props)
        account = next(iter(accounts.values()), None)
        return {"key": event.key, "version": event.version, "props": props, "account": account}

    async def deploy(self, owner: str, prepared: JsonObject) -> str:
        """Deploy what was prepared, once. Returns the id of the deployed trigger."""
        event = Action(key=str(prepared["key"]), app="", name="", version=str(prepared.get("version") or ""))
        return await self._broker.deploy(
            self._accounts.user(owner), ConfiguredAction(event, _props(prepared))
        )

    async def find_deployed(
        self, owner: str, prepared: JsonObject, since: datetime | None, known: Collection[str]
    ) -> str | None:
        """Return the trigger that an earlier `deploy` made whose answer was lost; None where it made none.

        `known` ids are those of others. Without `since` any trigger that is like it.
        """
        if since is not None:
            # The broker's clock and this one's may differ.
            earliest = (since - CLOCK_DIFFERENCE).timestamp() * 1000
        else:
            earliest = 0
        for found in await self._broker.deployed(self._accounts.user(owner)):
            is_new = found.id not in known and found.created_at_ms >= earliest
            if is_new and found.key == prepared["key"] and _covers(found.props, _props(prepared)):
                return found.id
        return None

    async def set_active(self, owner: str, deployed: str, *, active: bool) -> None:
        """Let a deployed trigger emit events, or emit none. Raises NotFound."""
        await self._broker.set_active(self._accounts.user(owner), deployed, active=active)

    async def set_address(self, owner: str, deployed: str, address: str | None) -> None:
        """Set the address that is told of each event; None for none. Raises NotFound."""
        await self._broker.set_address(self._accounts.user(owner), deployed, address)

    async def remove(self, owner: str, deployed: str, *, forced: bool) -> None:
        """Delete a deployed trigger; `forced`: also where the app refuses to let go of it. Raises NotFound."""
        await self._broker.remove(self._accounts.user(owner), deployed, forced=forced)

    async def emitted(self, owner: str, deployed: str) -> list[EmittedEvent]:
        """Return the latest events of a deployed trigger, the oldest first. Raises NotFound."""
        return await self._broker.emitted(self._accounts.user(owner), deployed)

    async def _resolve(self, choice: AppEventChoice) -> Action:
        """Return the only event that a key, a name or words can stand for. Raises InvalidInput that lists others."""
        app, words = names.app_of(choice.app), choice.event.strip()
        found = await self.find(app, words)
        plain = words.lower()
        exact = [event for event in found if plain in {event.key, event.name.lower()}]
        if len(exact) == 1:
            return exact[0]
        if len(found) == 1 and words:
            return found[0]
        if not found:
            raise NotFound(
                f"No events of {app} are known.",
                remedy=Remedy(RemedyAction.FIND_INTEGRATION),
            )

        listed = "; ".join(f"{event.key} ({event.name})" for event in found[:_LISTED])
        if len(found) > _LISTED:
            more = f"; {len(found) - _LISTED} more"
        else:
            more = ""
        raise InvalidInput(
            f"`event` has to name one event of {app}.", hint=f"Its events are: {listed}{more}."
        )


def _props(prepared: JsonObject) -> dict[str, Any]:
    return cast("dict[str, Any]", prepared["props"])


def _covers(props: JsonObject, fields: dict[str, Any]) -> bool:
    """Whether a trigger has these fields with these values; the broker adds some of its own."""
    return all(props.get(name) == value for name, value in fields.items())
