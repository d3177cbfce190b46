"""The providers' own keys: from secrets, else from the environment that the runtime was started with.

A provider may have several: `OPENAI_API_KEY`, `OPENAI_API_KEY_2` and so on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from codewords_mcp.errors import ServiceNotAvailable
from codewords_mcp.runtime.gateway.health import Health
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.model.provider import Provider
from codewords_mcp.runtime.secrets.service import SecretService

NAMES: dict[Provider, str] = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
}
TITLES: dict[Provider, str] = {"openai": "OpenAI", "anthropic": "Anthropic", "gemini": "Gemini"}
MOST = 20
"""Keys of one provider."""
_CACHED = 1024
_uses = count(1)


@dataclass(slots=True, eq=False)
class ProviderKey:
    """One key. `name` is its secret's, of whichever owner; `health` is where it stands in `Health`."""

    name: str
    value: bytes = field(repr=False)
    health: tuple[str, ...]
    in_flight: int = 0
    used: int = 0
    """When it was chosen last, counted."""


class ProviderKeys:
    """Finds the keys to call a provider with: the caller's own secrets, else the home's, else the environment's."""

    def __init__(self, secrets: SecretService) -> None:
        self._secrets = secrets
        self._known: dict[tuple[str, Provider], list[ProviderKey]] = {}
        self._as_of = -1

    async def find(self, owner: str, provider: Provider) -> list[ProviderKey]:
        """One at the least. Raises ServiceNotAvailable where there is none, saying how to add one; StorageFailed."""
        if self._as_of != self._secrets.changes or len(self._known) > _CACHED:
            self._known.clear()
            self._as_of = self._secrets.changes

        keys = self._known.get((owner, provider))
        if keys is None:
            as_of = self._as_of
            keys = await self._look(owner, provider)
            if keys and as_of == self._secrets.changes:
                keys = self._known.setdefault((owner, provider), keys)

        if not keys:
            raise missing(provider)

        return keys

    async def configured(self) -> list[Provider]:
        """Providers that the home itself has a key for."""
        return [provider for provider in NAMES if await self._look(HOME_OWNER, provider)]

    async def _look(self, owner: str, provider: Provider) -> list[ProviderKey]:
        names = names_of(provider)
        for holder in dict.fromkeys((owner, HOME_OWNER)):
            if found := _keys(provider, holder, names, await self._secrets.values(holder, names)):
                return found
        return _keys(provider, "", names, os.environ)


def names_of(provider: Provider) -> list[str]:
    """What a provider's keys may be called."""
    return [NAMES[provider], *(f"{NAMES[provider]}_{number}" for number in range(2, MOST + 1))]


def _keys(provider: Provider, holder: str, names: list[str], values: Mapping[str, str]) -> list[ProviderKey]:
    found = {name: values.get(name, "").strip() for name in names}
    return [
        ProviderKey(name, value.encode("ascii"), (provider, "key", holder, name))
        for name, value in found.items()
        if value and value.isascii() and value.isprintable()  # else it is no header, and no key
    ]


def in_turn(keys: list[ProviderKey], health: Health, first_only: Callable[[], bool]) -> list[ProviderKey]:
    """The keys in the order in which to try them: those that rest last, then the least busy, then by turns.

    `first_only`: the call names what is stored at the provider, which another account may not know: the first key that
    does not rest, and no other.
    """
    if len(keys) == 1:
        return keys

    resting = {key.name: health.left_alone(key.health) for key in keys}
    if first_only():
        return sorted(keys, key=lambda key: resting[key.name])[:1]

    ordered = sorted(keys, key=lambda key: (resting[key.name], key.in_flight, key.used))
    ordered[0].used = next(_uses)
    return ordered


def missing(provider: Provider) -> ServiceNotAvailable:
    """What is said where nobody gave a key for this provider."""
    name = NAMES[provider]
    return ServiceNotAvailable(
        f"No {TITLES[provider]} API key is set, so the call was not made.",
        hint=f"Add one with `codewords secrets set {name}`, or start the runtime with {name} in its environment.",
    )
