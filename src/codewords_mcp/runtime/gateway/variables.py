"""Environment variables of a workflow that declares a provider's key: its run's key and the
gateway's address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# Name of a key → (the variable from which that provider's SDK takes its address, our path).
_ROUTES = {
    "OPENAI_API_KEY": ("OPENAI_BASE_URL", "/run/openai/v1"),
    "ANTHROPIC_API_KEY": ("ANTHROPIC_BASE_URL", "/run/anthropic"),
    "GEMINI_API_KEY": ("GOOGLE_GEMINI_BASE_URL", "/gemini"),
    "GOOGLE_API_KEY": ("GOOGLE_GEMINI_BASE_URL", "/gemini"),
}
_FURTHER = re.compile(r"_\d{1,2}\Z")


def is_provider_key(name: str) -> bool:
    """Whether a variable is one of a provider's keys: `OPENAI_API_KEY`, `OPENAI_API_KEY_2`."""
    return _FURTHER.sub("", name) in _ROUTES


def provider_variables(declared: Mapping[str, str | None], *, key: str, runtime: str) -> dict[str, str]:
    """The variables for the provider keys among the declared ones (name → default).

    `key` is the run's key, `runtime` the runtime's address. The provider's own key never enters a
    sandbox. A workflow that also declares an address means another provider with that interface:
    both stay unchanged.
    """
    found: dict[str, str] = {}
    for name, default in declared.items():
        address, path = _ROUTES.get(_FURTHER.sub("", name), ("", ""))
        # A workflow that also declares an address means another provider with that interface.
        if address and default is None and address not in declared:
            found |= {name: key, address: runtime + path}

    return found
