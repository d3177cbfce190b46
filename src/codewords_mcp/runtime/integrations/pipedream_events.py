"""Event triggers of Pipedream Connect: components that Pipedream runs for a connected account, and the events that they emit."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.integrations.base import ConfiguredAction, DeployedTrigger
from codewords_mcp.runtime.integrations.pipedream import PAGE_SIZE, call_body, read_action, read_page
from codewords_mcp.runtime.integrations.pipedream_client import (
    PipedreamClient,
    as_object,
    object_entries,
    unexpected_format,
)
from codewords_mcp.runtime.model.integration import Action, EmittedEvent

MAX_EVENTS = 100
"""Events that Pipedream lists, the latest ones."""
_MAX_PAGES = 50
_TRIGGERS = "/v1/connect/{project}/triggers"
_DEPLOYED = "/v1/connect/{project}/deployed-triggers"


class PipedreamEvents:
    """See `base.EventBroker`."""

    def __init__(self, client: PipedreamClient) -> None:
        self._client = client

    async def triggers(self, app: str, query: str) -> list[Action]:
        """Return the first page of the event triggers of an app that fit the words."""
        params = {"app": app, "limit": str(PAGE_SIZE)}
        if query:
            params["q"] = query
        found, _ = read_page(await self._client.request("GET", _TRIGGERS, params=params))
        return [read_action(entry) for entry in found if entry.get("key")]

    async def deploy(self, user: str, configured: ConfiguredAction) -> str:
        """Deploy an event trigger, once, and return its id. What was there before emits nothing."""
        body = call_body(user, configured) | {"emit_on_deploy": False}
        response = as_object(
            await self._client.request("POST", f"{_TRIGGERS}/deploy", body=body, once=True, seconds=60.0)
        )
        return _read_deployed(as_object(response.get("data"))).id

    async def deployed(self, user: str) -> list[DeployedTrigger]:
        """List the deployed triggers of a user, from all pages."""
        params = {"external_user_id": user, "limit": str(PAGE_SIZE)}
        found: list[DeployedTrigger] = []
        for _ in range(_MAX_PAGES):
            page, after = read_page(await self._client.request("GET", _DEPLOYED, params=params))
            found += [_read_deployed(entry) for entry in page if entry.get("id")]
            # The same cursor again would give the same page for ever.
            if not page or after is None or params.get("after") == after:
                break
            params["after"] = after
        return found

    async def set_active(self, user: str, deployed: str, *, active: bool) -> None:
        """Let a deployed trigger emit events, or emit none. Raises NotFound."""
        await self._client.request("PUT", _path(deployed), params=_of(user), body={"active": active})

    async def set_address(self, user: str, deployed: str, address: str | None) -> None:
        """Set the only address to which events are sent, None for none. Raises NotFound."""
        body = {"webhook_urls": [address] if address else []}
        await self._client.request("PUT", f"{_path(deployed)}/webhooks", params=_of(user), body=body)

    async def remove(self, user: str, deployed: str, *, forced: bool) -> None:
        """Delete a deployed trigger; `forced`: also where the app refuses to let go of it. Raises NotFound."""
        params = _of(user)
        if forced:
            params["ignore_hook_errors"] = "true"
        await self._client.request("DELETE", _path(deployed), params=params)

    async def emitted(self, user: str, deployed: str) -> list[EmittedEvent]:
        """Return the latest events, the oldest first. Raises NotFound."""
        params = _of(user) | {"n": str(MAX_EVENTS)}
        response = as_object(await self._client.request("GET", f"{_path(deployed)}/events", params=params))
        if not isinstance(response.get("data"), list):
            raise unexpected_format(200)
        events = [_read_event(entry) for entry in object_entries(response["data"]) if entry.get("id")]
        # The order of the list is not documented.
        return sorted(events, key=_order)


def _path(deployed: str) -> str:
    return f"{_DEPLOYED}/{quote(deployed, safe='')}"


def _of(user: str) -> dict[str, str]:
    return {"external_user_id": user}


def _order(event: EmittedEvent) -> tuple[int, int]:
    """The time of an event, and its number within that millisecond, which its id ends with."""
    number = event.id.rpartition("-")[2]
    is_number = number.isascii() and number.isdecimal() and len(number) < 18
    return event.at_ms, int(number) if is_number else 0


def _read_deployed(raw: dict[str, Any]) -> DeployedTrigger:
    if not isinstance(raw.get("id"), str):
        raise unexpected_format(200)
    props: Any = raw.get("configured_props")
    created = raw.get("created_at")
    return DeployedTrigger(
        id=raw["id"],
        key=str(raw.get("component_key") or ""),
        props=object_of(props),
        created_at_ms=int(created) if isinstance(created, int | float) else 0,
    )


def _read_event(raw: dict[str, Any]) -> EmittedEvent:
    at = raw.get("ts")
    return EmittedEvent(
        id=str(raw["id"]),
        at_ms=int(at) if isinstance(at, int | float) else 0,
        summary=str(raw.get("sum") or "")[:500],
        data=raw.get("e"),
    )
