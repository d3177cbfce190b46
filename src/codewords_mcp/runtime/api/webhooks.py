"""The facade's part about what comes from outside: webhooks, and users of workflows who sign in."""

from __future__ import annotations

from dataclasses import replace

from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.auth.sandbox_access import SandboxAccess
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.webhook import Arrival, Delivery, Webhook, WebhookResponse


class WebhookCalls:
    """What `Runtime` offers beside workflows, runs, secrets and files."""

    _house: Container

    @property
    def sandbox_access(self) -> SandboxAccess:
        """How sandboxes reach this runtime, and what they may use there."""
        return self._house.sandbox_access

    async def create_webhook(
        self,
        caller: Caller,
        service_id: str,
        *,
        kind: str = "plain",
        path: str = "/",
        name: str = "",
        secret: str | None = None,
    ) -> Webhook:
        """An address of its own that starts a workflow; `secret` is the name of what its sender signs with.

        Raises InvalidInput, NotFound, TooBusy.
        """
        refuse_run(caller, "make webhooks")
        return await self._house.webhooks.create(
            caller.owner, kind, service_id, path=path, name=name, secret=secret, key_id=caller.key_id
        )

    async def list_webhooks(self, caller: Caller) -> list[Webhook]:
        """Newest first."""
        return await self._house.webhooks.list(
            caller.owner, maker=self._house.authorities.of(caller).workflow
        )

    async def delete_webhook(self, caller: Caller, webhook_id: str) -> None:
        """What came by it stays in the log. Raises NotFound."""
        maker = self._house.authorities.of(caller).workflow
        await self._house.webhooks.delete(caller.owner, webhook_id, maker=maker)

    async def list_deliveries(
        self, caller: Caller, *, status: str | None = None, limit: int = 50, before: str | None = None
    ) -> list[Delivery]:
        """What came by webhooks, newest first."""
        refuse_run(caller, "read what came by webhooks")
        return await self._house.webhooks.deliveries(caller.owner, status=status, limit=limit, before=before)

    async def get_delivery(self, caller: Caller, delivery_id: str) -> Delivery:
        """One with headers and body. Raises NotFound."""
        refuse_run(caller, "read what came by webhooks")
        return await self._house.webhooks.delivery(caller.owner, delivery_id)

    async def redeliver(self, caller: Caller, delivery_id: str) -> Delivery:
        """Start its runs once more. Raises NotFound, Conflict."""
        refuse_run(caller, "deliver again what came by webhooks")
        return await self._house.webhooks.redeliver(caller.owner, delivery_id)

    async def receive_webhook(self, arrival: Arrival, run: Caller | None = None) -> WebhookResponse:
        """Something came to a webhook's address, from a `run` of its workflow or from outside.

        Raises NotFound, Unauthenticated, TooBusy, Conflict where the run stands too deep in a chain of calls.
        """
        if run is not None:
            made_by = await self._house.dispatcher.made_by(run)
            if made_by is not None:
                made_by.check()
            arrival = replace(arrival, made_by=made_by)
        return await self._house.webhooks.receive(arrival)

    async def peek_login(self, link: str) -> tuple[str, str]:
        """(what a sign-in link is for, whose it is, most of it hidden). Raises NotFound."""
        return await self._house.logins.peek(link)

    async def follow_login(self, link: str) -> str:
        """Spend a sign-in link; where its person goes on. Raises NotFound."""
        return await self._house.logins.follow(link)
