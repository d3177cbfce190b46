"""The prompt services `openai`, `anthropic` and `gemini`."""

from __future__ import annotations

from typing import Any

from codewords_mcp.runtime.gateway.keys import NAMES, TITLES
from codewords_mcp.runtime.model.provider import Provider
from codewords_mcp.runtime.services.base import Operation, Output, Service, ServiceContext, ServiceCredential
from codewords_mcp.runtime.services.model_prompt.prompt import PromptInput, answer_prompt

_KEYS: dict[Provider, str] = {
    "openai": "https://platform.openai.com/api-keys",
    "anthropic": "https://platform.claude.com/settings/keys",
    "gemini": "https://aistudio.google.com/apikey",
}
_MODELS: dict[Provider, str] = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash",
}


class PromptOutput(Output):
    """`response` has the format of `example_output`; `cost` is in USD, null for a model without a
    price.
    """

    response: Any
    model: str
    usage: dict[str, int]
    cost: float | None
    note: str | None = None


def _service(provider: Provider) -> Service:
    async def call(context: ServiceContext, params: PromptInput) -> PromptOutput:
        return PromptOutput(
            **await answer_prompt(context.dependencies.gateway, context.caller, provider, params)
        )

    return Service(
        name=provider,
        title=TITLES[provider],
        summary=f"One prompt to a model of {TITLES[provider]}, one response in the requested format.",
        operations=(
            Operation(
                "Send one prompt; the model `echo` answers without a provider",
                PromptInput,
                PromptOutput,
                call,
                effect="reads",
                example={
                    "model": _MODELS[provider],
                    "prompt": "Is this good news? …",
                    "example_output": {"good": True},
                },
            ),
        ),
        credentials=(ServiceCredential(NAMES[provider], f"Make a key at {_KEYS[provider]}."),),
    )


OPENAI, ANTHROPIC, GEMINI = (_service(provider) for provider in ("openai", "anthropic", "gemini"))
