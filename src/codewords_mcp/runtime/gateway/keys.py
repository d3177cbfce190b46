"""The providers' own keys: from secrets, else from the environment that the runtime was started
with.

A provider may have several: `OPENAI_API_KEY`, `OPENAI_API_KEY_2` and so on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from codewords_mcp.errors import ServiceNotAvailable
from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.gateway.health import Health
from codewords_mcp.runtime.gateway.named_providers import PRESETS
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.model.provider import Provider
from codewords_mcp.runtime.secrets.service import SecretService

NAMES: dict[Provider, str] = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
}
TITLES: dict[Provider, str] = {"openai": "OpenAI", "anthropic": "Anthropic", "gemini": "Gemini"} | {
    preset.name: preset.title for preset in PRESETS.values()
}
MAX_KEYS = 20
"""Keys of one provider."""
_MAX_CACHED = 1024
_use_counter = count(1)


@dataclass(slots=True, eq=False)
class ProviderKey:
    """One key. `name` is the name of its secret; `health` is its name in `Health`."""

    name: str
    value: bytes = field(repr=False)
    health: tuple[str, ...]
    in_flight: int = 0
    used: int = 0
    """Sequence number of its last use."""


class ProviderKeys:
    """Finds the keys of a provider: the caller's own secrets, else the home's, else the
    environment's.
    """

    def __init__(self, secrets: SecretService) -> None:
        self._secrets = secrets
        self._known: dict[tuple[str, Provider], list[ProviderKey]] = {}
        self._as_of = -1

    async def find(self, owner: str, provider: Provider, *, needed: bool = True) -> list[ProviderKey]:
        """At least one key: an empty one where there is none and none is `needed`.

        Raises StorageFailed, and ServiceNotAvailable with the way to add a key.
        """
        # A secret that changed counts for the next call.
        if self._as_of != self._secrets.changes or len(self._known) > _MAX_CACHED:
            self._known.clear()
            self._as_of = self._secrets.changes

        keys = self._known.get((owner, provider))
        if keys is None:
            as_of = self._as_of
            keys, cacheable = await self._load(owner, provider)
            # A secret that changed during the read must not be cached with its old value.
            if keys and cacheable and as_of == self._secrets.changes:
                keys = self._known.setdefault((owner, provider), keys)

        if not keys and needed:
            raise missing_key_error(provider)

        return keys or [ProviderKey("", b"", (provider, "key", "", ""))]

    async def exists(self, owner: str, provider: Provider) -> bool:
        """Whether calls of this owner have a key."""
        return bool((await self._load(owner, provider))[0])

    async def configured(self) -> list[Provider]:
        """Providers that the home itself has a key for."""
        return [provider for provider in NAMES if (await self._load(HOME_OWNER, provider))[0]]

    async def _load(self, owner: str, provider: Provider) -> tuple[list[ProviderKey], bool]:
        """The keys, and whether they stay what they are until a secret is set or deleted here."""
        names = names_of(provider)
        # An owner's own keys count before the home's.
        for owner_id in dict.fromkeys((owner, HOME_OWNER)):
            secrets = await self._secrets.open(owner_id, names)
            values = {name: secret.value for name, secret in secrets.items()}
            if found := _keys(provider, owner_id, names, values):
                return found, not any(secret.elsewhere for secret in secrets.values())

        return _keys(provider, "", names, os.environ), True


def names_of(provider: Provider) -> list[str]:
    """Possible names of a provider's keys."""
    first = key_name(provider)
    return [first, *(f"{first}_{number}" for number in range(2, MAX_KEYS + 1))]


def key_name(provider: Provider) -> str:
    """Name of a provider's first key: `GROQ_API_KEY`."""
    return NAMES.get(provider) or f"{provider.upper().replace('-', '_')}_API_KEY"


def title_of(provider: Provider) -> str:
    """A provider's name in texts."""
    return TITLES.get(provider, provider)


def _keys(
    provider: Provider, owner_id: str, names: list[str], values: Mapping[str, str]
) -> list[ProviderKey]:
    found = {name: values.get(name, "").strip() for name in names}
    # A service account's key is JSON over several lines, whose line breaks mean nothing.
    found |= {name: " ".join(value.split()) for name, value in found.items() if value.startswith("{")}
    return [
        ProviderKey(name, value.encode("ascii"), (provider, "key", owner_id, name))
        for name, value in found.items()
        # Anything else would be no header, and is no key.
        if value and value.isascii() and value.isprintable()
    ]


def in_trial_order(
    keys: list[ProviderKey], health: Health, first_only: Callable[[], bool]
) -> list[ProviderKey]:
    """The keys in the order to try them: resting ones last, then by fewest calls in flight, then
    round-robin.

    `first_only`: the call names an object that is stored in one account of the provider. Then the
    result is the first key that is not resting, alone.
    """
    if len(keys) == 1:
        return keys

    resting = {key.name: health.blocked_for(key.health) for key in keys}
    if first_only():
        return sorted(keys, key=lambda key: resting[key.name])[:1]

    ordered = sorted(keys, key=lambda key: (resting[key.name], key.in_flight, key.used))
    ordered[0].used = next(_use_counter)
    return ordered


def missing_key_error(provider: Provider) -> ServiceNotAvailable:
    """The error for a provider without a key."""
    name = key_name(provider)
    return ServiceNotAvailable(
        f"No {title_of(provider)} API key is set, so the call was not made.",
        hint=f"The runtime reads {name} from its secrets, or from its environment.",
        remedy=set_secret(name),
    )
