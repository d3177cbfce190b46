"""Webhooks and their deliveries."""

from __future__ import annotations

from dataclasses import replace

from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.webhook import Arrival, Delivery, Webhook, WebhookResponse


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

    async def delete(self, caller: Caller, webhook_id: str) -> None:
        """Delete a webhook. Its deliveries stay in the log. Raises NotFound."""
        maker = self._container.authorities.of(caller).workflow
        await self._container.webhooks.delete(caller.owner, webhook_id, maker=maker)

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
        return await self._container.webhooks.receive(arrival)

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
        socket = self._container.socket_mode.state(caller.owner)
        found = await self._container.webhooks.list(
            caller.owner, maker=self._container.authorities.of(caller).workflow
        )
        return [
            webhook.model_copy(update={"socket": socket}) if webhook.kind == "slack" else webhook
            for webhook in found
        ]
