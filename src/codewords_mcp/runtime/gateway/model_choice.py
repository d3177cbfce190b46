"""Models that a call may prompt, and those that take over where one fails."""

from __future__ import annotations

from collections.abc import Mapping

from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.auth.api_keys import ApiKeys
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.providers import ProviderRoute
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.rules import allows, fallbacks_for
from codewords_mcp.runtime.model.model_errors import ModelNotAllowed
from codewords_mcp.runtime.model.provider import Provider


class ModelChoice:
    """Decides by lists of keys and workflows. `fallbacks` are the home's; those of a workflow's header come before them."""

    def __init__(self, keyring: ApiKeys, fallbacks: Mapping[str, list[str]]) -> None:
        self._keyring = keyring
        self._fallbacks = fallbacks

    async def lists(self, origin: CallAttribution) -> list[tuple[str, ...]]:
        """The lists of models that all must allow a call with this attribution."""
        if origin.key_id:
            of_key = await self._keyring.models_of(origin.key_id)
        else:
            of_key = None
        return [allowed for allowed in (of_key, origin.rules.models) if allowed is not None]

    def fallbacks(
        self, origin: CallAttribution, provider: Provider, model: str
    ) -> list[tuple[Provider, str]]:
        """(provider, model) of each fallback for a model. Providers may differ."""
        return fallbacks_for((origin.rules.fallbacks, self._fallbacks), provider, model)

    def fallback_requests(
        self, origin: CallAttribution, allowed: list[tuple[str, ...]], facts: RequestFacts
    ) -> tuple[RequestFacts, ...]:
        """The same request for each model that may take over, of the same provider."""
        # A form cannot be rewritten for another model.
        if not (origin.rules.fallbacks or self._fallbacks) or facts.files:
            return ()
        provider = facts.route.provider
        found = self.fallbacks(origin, provider, facts.model)
        return tuple(
            facts.for_model(model)
            for where, model in found
            # An attempt has one provider's keys; other providers are for callers that can speak to
            # them.
            if where == provider and all(allows(names, provider, model) for names in allowed)
        )


def check_model(allowed: list[tuple[str, ...]], route: ProviderRoute, facts: RequestFacts | None) -> None:
    """Check the model against every list. Raises ModelNotAllowed."""
    if facts is None or not facts.model:
        raise ModelNotAllowed(
            "This call names no model, so it is refused where a list of models applies.",
            hint="Name a model, or use a key that may call every model.",
        )

    for names in allowed:
        if not allows(names, route.provider, facts.model):
            raise ModelNotAllowed(
                "This model is not in the list of allowed models.",
                hint=f"Allowed are {', '.join(names) or 'none'}.",
                remedy=Remedy(RemedyAction.CHANGE_MODELS),
            )
