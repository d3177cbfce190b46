"""Webhooks and their deliveries."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.paging import check_limit, cut_page, parse_cursor
from codewords_mcp.runtime.model.base import Page
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.webhook import Arrival, Delivery, Webhook, WebhookResponse
from codewords_mcp.runtime.store.clock import to_micros
from codewords_mcp.runtime.triggers.webhooks import as_json

TEST_LOOKS, TEST_INTERVAL_S = 50, 0.1
"""Looks at the delivery of a test until its runs are started, and seconds between them."""


class WebhookApi:
    """Webhooks and their deliveries."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def create(
        self,
        caller: Caller,
        service_id: str,
        *,
        kind: str = "plain",
        path: str = "/",
        name: str = "",
        secret: str | None = None,
    ) -> Webhook:
        """Make an address that starts a workflow; `secret` names the secret that its sender signs with.

        Raises InvalidInput, NotFound, TooBusy.
        """
        refuse_run(caller, "make webhooks")
        return await self._container.webhooks.create(
            caller.owner, kind, service_id, path=path, name=name, secret=secret, key_id=caller.key_id
        )

    async def get(self, caller: Caller, webhook_id: str) -> Webhook:
        """Return one webhook. Raises NotFound."""
        refuse_run(caller, "read webhooks")
        return await self._with_socket(caller, await self._container.webhooks.get(caller.owner, webhook_id))

    async def send_test(self, caller: Caller, webhook_id: str, data: Any) -> Delivery:
        """Receive `data` as if the webhook's sender had signed and sent it now. Waits some seconds for its runs.

        Raises NotFound, InvalidInput, TooBusy.
        """
        refuse_run(caller, "send tests of webhooks")
        service = self._container.webhooks
        delivery_id = await service.send_test(caller.owner, webhook_id, as_json(data))
        for _ in range(TEST_LOOKS):
            delivery = await service.delivery(caller.owner, delivery_id)
            if delivery.status != "received":
                return delivery
            await asyncio.sleep(TEST_INTERVAL_S)
        return await service.delivery(caller.owner, delivery_id)

    async def delete(self, caller: Caller, webhook_id: str) -> None:
        """Delete a webhook. Its deliveries stay in the log. Raises NotFound."""
        maker = self._container.authorities.of(caller).workflow
        await self._container.webhooks.delete(caller.owner, webhook_id, maker=maker)

    async def pause(self, caller: Caller, webhook_id: str) -> Webhook:
        """Pause a webhook: what comes is stored and starts nothing until it is resumed. Raises NotFound."""
        maker = self._container.authorities.of(caller).workflow
        paused = await self._container.webhooks.pause(caller.owner, webhook_id, maker=maker)
        return await self._with_socket(caller, paused)

    async def resume(self, caller: Caller, webhook_id: str) -> Webhook:
        """Let a webhook start runs again, for what comes from now on. Raises NotFound."""
        maker = self._container.authorities.of(caller).workflow
        resumed = await self._container.webhooks.pause(caller.owner, webhook_id, maker=maker, paused=False)
        return await self._with_socket(caller, resumed)

    async def get_delivery(self, caller: Caller, delivery_id: str) -> Delivery:
        """Return one delivery with headers and body. Raises NotFound."""
        refuse_run(caller, "read what came by webhooks")
        return await self._container.webhooks.delivery(caller.owner, delivery_id)

    async def redeliver(self, caller: Caller, delivery_id: str) -> Delivery:
        """Start the runs of a delivery once more. Raises NotFound, Conflict."""
        refuse_run(caller, "deliver again what came by webhooks")
        return await self._container.webhooks.redeliver(caller.owner, delivery_id)

    async def receive(self, arrival: Arrival, run: Caller | None = None) -> WebhookResponse:
        """Take a request to a webhook's address, from a `run` of its workflow or from outside.

        Raises NotFound, Unauthenticated, TooBusy, Conflict where the run stands too deep in a chain of calls.
        """
        if run is not None:
            made_by = await self._container.dispatcher.made_by(run)
            if made_by is not None:
                # Two workflows that post to each other's webhooks would otherwise start runs
                # for ever.
                made_by.check()
            arrival = replace(arrival, made_by=made_by)
        # Waits, event sources and buttons have addresses like webhooks', and leave what is not theirs.
        waited = await self._container.waits.answers.receive(
            arrival, self._container.webhooks.receiver.own_secret
        )
        if waited is not None:
            return waited
        if arrival.method == "POST" and await self._container.event_sources.ring(arrival.endpoint):
            return WebhookResponse({"ok": True})
        if (answered := await self._container.alerts.questions.buttons.receive(arrival)) is not None:
            return answered
        return await self._container.webhooks.receiver.receive(arrival)

    async def list_deliveries(
        self, caller: Caller, *, status: str | None = None, limit: int = 50, before: str | None = None
    ) -> list[Delivery]:
        """List deliveries, newest first."""
        refuse_run(caller, "read what came by webhooks")
        return await self._container.webhooks.deliveries(
            caller.owner, status=status, limit=limit, before=before
        )

    async def list(self, caller: Caller) -> list[Webhook]:
        """List the caller's webhooks, newest first."""
        found = await self._container.webhooks.list(
            caller.owner, maker=self._container.authorities.of(caller).workflow
        )
        return [await self._with_socket(caller, webhook) for webhook in found]

    async def page(
        self, caller: Caller, *, service_id: str | None = None, limit: int, cursor: str | None = None
    ) -> Page[Webhook]:
        """A page of the same list, only of the workflow `service_id` if set. Raises InvalidInput."""
        found = await self._container.webhooks.page(
            caller.owner,
            service_id=service_id,
            maker=self._container.authorities.of(caller).workflow,
            limit=check_limit(limit) + 1,
            after=parse_cursor(cursor),
        )
        shown = [await self._with_socket(caller, webhook) for webhook in found]
        return cut_page(shown, limit, lambda webhook: f"{to_micros(webhook.created_at)}.{webhook.id}")

    async def _with_socket(self, caller: Caller, webhook: Webhook) -> Webhook:
        """The webhook with the state of its socket, where it is one of Slack's."""
        if webhook.kind != "slack":
            return webhook
        if webhook.paused:
            state = "paused"
        else:
            state = await self._container.socket_mode.state(caller.owner)
        return webhook.model_copy(update={"socket": state})
