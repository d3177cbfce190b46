"""Model calls, their cost and their budgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.gateway.headers import Headers
from codewords_mcp.runtime.gateway.keys import TITLES, key_name
from codewords_mcp.runtime.gateway.named_routes import route_of
from codewords_mcp.runtime.gateway.realtime.address import find_address
from codewords_mcp.runtime.gateway.realtime.session import DeferredSession, RealtimeSession
from codewords_mcp.runtime.model.budget import Budget, BudgetPeriod, BudgetScope, CostsBy
from codewords_mcp.runtime.model.caller import Caller, refuse_run, require_admin
from codewords_mcp.runtime.model.manifest import models_item
from codewords_mcp.runtime.model.provider import (
    OWN_PROVIDERS,
    GatewayResponse,
    Provider,
    ProviderRequest,
)
from codewords_mcp.runtime.model.provider_info import ProviderInfo
from codewords_mcp.runtime.store import workflows
from codewords_mcp.runtime.store.unknown_ids import no_workflow


class ModelApi:
    """Calls of model providers, and their cost."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def call(self, request: ProviderRequest) -> GatewayResponse:
        """Call a model provider and stream its answer. Cancelling, or closing the reply early, aborts the call.

        Raises NotAgreed where a workflow calls whose manifest does not list the provider, NotFound, ServiceNotAvailable
        without a key for the provider, ProviderUnavailable, ProviderTimedOut.
        """
        request = await self._container.gateway.locate(request)
        authority = self._container.authorities.of(request.caller)
        authority.require_call(models_item(request.provider))

        # Files and batches are shared by all of the provider's account, so calling a model does
        # not include them.
        if request.caller.kind == "run" and route_of(request).account:
            authority.require_account(request.provider)

        return await self._container.gateway.send(request)

    async def open_realtime(
        self, caller: Caller, provider: Provider, path: str, query: Mapping[str, str], headers: Headers
    ) -> RealtimeSession | DeferredSession:
        """Open a realtime session at a provider, by the path below its mount; `close` it.

        Raises NotAgreed, and what `find_address` and `RealtimeSessions.open` raise.
        """
        gateway = self._container.gateway
        address = find_address(provider, path, query, gateway.named)
        self._container.authorities.of(caller).require_call(models_item(address.route.provider))
        return await gateway.realtime.open(caller, address, headers)

    async def providers(self, caller: Caller) -> list[ProviderInfo]:
        """The model providers of this home, those with mounts of their own first."""
        refuse_run(caller, "list model providers")
        gateway = self._container.gateway
        found = [
            (name, TITLES[name], name, True, f"/{name}") for name in OWN_PROVIDERS
        ] + [
            (named.name, named.title, named.interface, named.needs_key, f"/providers/{named.name}")
            for named in gateway.named
        ]  # fmt: skip
        return [
            ProviderInfo(
                name=name,
                title=title,
                interface=interface,
                address=gateway.bases[name],
                mount=mount,
                key=key_name(name),
                ready=not needs_key or await gateway.keys.exists(caller.owner, name),
                resting=gateway.health.blocked_for((name,)),
            )
            for name, title, interface, needs_key, mount in found
        ]

    async def prompt(self, caller: Caller, provider: Provider, body: bytes) -> dict[str, Any]:
        """The simple form: `{model, prompt, example_output?, …}` as JSON → `{response, model, usage, cost}`.

        Raises InvalidInput, NotFound for a model that is gone, ModelAnswerInvalid, ProviderRefused, and what
        `ask_provider` raises.
        """
        from codewords_mcp.runtime.services.model_prompt.prompt import answer_request

        require = self._container.authorities.of(caller).require_call
        return await answer_request(self._container.gateway, caller, provider, body, require=require)

    async def costs(
        self, caller: Caller, *, by: CostsBy = "day", days: int = 30, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Sum usage and cost (USD) of model calls of the last days by one dimension. An admin sees every owner's.

        Items have the dimension's fields, then calls, tokens by kind, `cost`, `estimated` and `unpriced` calls.
        Raises InvalidInput for days or a limit that are none.
        """
        refuse_run(caller, "see costs")
        if not 1 <= days <= 400 or not 1 <= limit <= 1000:
            raise InvalidInput("days is 1 to 400, limit 1 to 1000.")

        if caller.kind == "admin":
            owner = None
        else:
            owner = caller.owner

        return await self._container.gateway.ledger.totals(by, owner=owner, days=days, limit=limit)

    def upload_caller(self, path: str, query: bytes) -> Caller:
        """Find the caller who started the Gemini upload that a path and the ticket in a query continue.

        Raises Unauthenticated.
        """
        return self._container.gateway.upload_caller(path, query)


class BudgetApi:
    """Budgets of model calls. Admins only."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def remove(
        self, caller: Caller, scope: BudgetScope, *, subject: str = "", period: BudgetPeriod = "total"
    ) -> None:
        """Remove a budget. Admin only. Raises NotFound."""
        require_admin(caller, "remove budgets")
        if not await self._container.gateway.budgets.remove(scope, subject, period):
            raise NotFound("There is no such budget.", remedy=Remedy(RemedyAction.LIST_BUDGETS))

    async def list(self, caller: Caller) -> list[Budget]:
        """List every budget of the home, those of the settings first. Admin only."""
        require_admin(caller, "see budgets")
        return await self._container.gateway.budgets.list()

    async def set(
        self,
        caller: Caller,
        scope: BudgetScope,
        usd: float,
        *,
        subject: str = "",
        period: BudgetPeriod = "total",
    ) -> Budget:
        """Set or replace a budget, which applies from the next call on. Admin only. Raises InvalidInput."""
        require_admin(caller, "set budgets")
        if subject:
            await self._require_subject(caller, scope, subject)
        return await self._container.gateway.budgets.set(scope, subject, period, usd)

    async def _require_subject(self, caller: Caller, scope: BudgetScope, subject: str) -> None:
        """Raise NotFound for an unknown workflow or key, since a budget on it would limit nothing."""
        container = self._container
        if scope == "workflow" and await container.database.read(workflows.get, subject) is None:
            raise await container.database.read(no_workflow, caller.owner, subject)
        if scope == "key" and not await container.keyring.is_known(subject):
            raise NotFound("There is no key of that id.", remedy=Remedy(RemedyAction.LIST_KEYS))
