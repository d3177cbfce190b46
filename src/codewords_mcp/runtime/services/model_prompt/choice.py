"""The model of the runtime's own prompts: the one that a setting names, else a capable one with a
key.
"""

from __future__ import annotations

from codewords_mcp.errors import ServiceNotAvailable
from codewords_mcp.runtime.gateway.gateway import Gateway
from codewords_mcp.runtime.model.provider import Provider

# A capable model of each provider, in the order of preference.
_MODELS: tuple[tuple[Provider, str], ...] = (
    ("anthropic", "claude-sonnet-4-5"),
    ("openai", "gpt-4.1"),
    ("gemini", "gemini-2.5-pro"),
)


async def choose(gateway: Gateway, owner: str, named: str | None) -> tuple[Provider, str] | None:
    """Return (provider, model); None if no provider has a key for this owner.

    `named` is `provider/model`. Raises ServiceNotAvailable if its provider has no key.
    """
    if named is not None:
        provider, _, model = named.partition("/")
        found: Provider = next(known for known, _ in _MODELS if known == provider)
        # A setting that names a model must not be passed over in silence.
        await gateway.keys.find(owner, found)
        return found, model

    for provider, model in _MODELS:
        try:
            await gateway.keys.find(owner, provider)
        except ServiceNotAvailable:
            continue

        return provider, model

    return None
