"""The model that writes workflows, called through the home's own gateway with its keys, budgets and
records.
"""

from __future__ import annotations

from codewords_mcp.runtime.gateway.gateway import Gateway
from codewords_mcp.runtime.model.authoring import AskModel, ModelCompletion
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.model_errors import ModelAnswerInvalid
from codewords_mcp.settings import Settings

MAX_TOKENS = 16_000
"""Of one response: a program of 500 lines has about 6,000."""


async def gateway_author(gateway: Gateway, caller: Caller, settings: Settings) -> tuple[str, AskModel] | None:
    """(`provider/model`, a function that calls it). None if no provider has a key for this caller.
    Raises the gateway's errors.
    """
    from codewords_mcp.runtime.services.model_prompt.choice import choose

    chosen = await choose(gateway, caller.owner, settings.author_model)
    if chosen is None:
        return None

    provider, model = chosen

    async def ask_model(system: str, prompt: str) -> ModelCompletion:
        from codewords_mcp.runtime.services.model_prompt.prompt import PromptInput, answer_prompt

        params = PromptInput(model=model, prompt=prompt, system=system, max_tokens=MAX_TOKENS)
        try:
            result = await answer_prompt(gateway, caller, provider, params)
        except ModelAnswerInvalid as error:
            # A cut answer isn't an error here: the model is told, and writes a shorter program.
            if "limit of tokens" not in error.message:
                raise
            return ModelCompletion("", cut=True)
        return ModelCompletion(
            str(result["response"]), int(result["usage"].get("total_tokens", 0)), result["cost"]
        )

    return f"{provider}/{model}", ask_model
