"""The providers' own keys: from the home's secrets, else from the environment that the runtime was started with."""

from __future__ import annotations

import os

from codewords_mcp.errors import ServiceNotAvailable
from codewords_mcp.runtime.models import Provider
from codewords_mcp.runtime.secrets.access import HOME_OWNER, SecretBook

NAMES: dict[Provider, str] = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
}
TITLES: dict[Provider, str] = {"openai": "OpenAI", "anthropic": "Anthropic", "gemini": "Gemini"}
_CACHED = 1024


class ProviderKeys:
    """Finds the key to call a provider with: the caller's own secret, else the home's, else the environment's."""

    def __init__(self, secrets: SecretBook) -> None:
        self._secrets = secrets
        self._known: dict[tuple[str, Provider], str] = {}
        self._as_of = -1

    async def find(self, owner: str, provider: Provider) -> str:
        """The key. Raises ServiceNotAvailable where there is none, saying how to add one; StorageFailed."""
        if self._as_of != self._secrets.changes or len(self._known) > _CACHED:
            self._known.clear()
            self._as_of = self._secrets.changes
        key = self._known.get((owner, provider))
        if key is None:
            as_of = self._as_of
            key = await self._look(owner, NAMES[provider])
            if key and as_of == self._secrets.changes:
                self._known[owner, provider] = key
        if not key:
            raise missing(provider)
        return key

    async def configured(self) -> list[Provider]:
        """Providers that the home itself has a key for."""
        return [provider for provider, name in NAMES.items() if await self._look(HOME_OWNER, name)]

    async def _look(self, owner: str, name: str) -> str:
        for holder in dict.fromkeys((owner, HOME_OWNER)):
            found = await self._secrets.values(holder, [name])
            if found.get(name):
                return found[name].strip()
        return os.environ.get(name, "").strip()


def missing(provider: Provider) -> ServiceNotAvailable:
    """What is said where nobody gave a key for this provider."""
    name = NAMES[provider]
    return ServiceNotAvailable(
        f"No {TITLES[provider]} API key is set, so the call was not made.",
        hint=f"Add one with `codewords secrets set {name}`, or start the runtime with {name} in its environment.",
    )
