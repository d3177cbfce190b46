"""The model that writes: through the home's own gateway, with its keys, budgets and books."""

from __future__ import annotations

from codewords_mcp.errors import ModelAnswerInvalid
from codewords_mcp.runtime.gateway.gateway import Gateway
from codewords_mcp.runtime.model.authoring import AskModel, ModelCompletion
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.settings import Settings

MAX_TOKENS = 16_000
"""Of one answer: a program of 500 lines has about 6,000."""


async def gateway_author(gateway: Gateway, caller: Caller, settings: Settings) -> tuple[str, AskModel] | None:
    """(`provider/model`, how to ask it); None where no provider has a key for this caller. Raises what the gateway raises."""
    from codewords_mcp.runtime.services.model_prompt.choice import choose

    chosen = await choose(gateway, caller.owner, settings.author_model)
    if chosen is None:
        return None

    provider, model = chosen

    async def ask(system: str, prompt: str) -> ModelCompletion:
        from codewords_mcp.runtime.services.model_prompt.prompt import PromptInput, answer_prompt

        form = PromptInput(model=model, prompt=prompt, system=system, max_tokens=MAX_TOKENS)
        try:
            told = await answer_prompt(gateway, caller, provider, form)
        except ModelAnswerInvalid as error:
            if "limit of tokens" not in error.message:
                raise
            return ModelCompletion("", cut=True)
        return ModelCompletion(str(told["response"]), int(told["usage"].get("total_tokens", 0)), told["cost"])

    return f"{provider}/{model}", ask
