"""Conflicts between the settings of a command and those that the running runtime was started with.

`runtime.json` holds a fingerprint of each setting's value, keyed by the home's key, and never the value itself.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codewords_mcp.settings import Settings

_OF_COMMANDS = frozenset(
    {
        "home",
        "runtime",
        "runtime_url",
        "log_level",
        "container_engine",
        "container_arguments",
        "container_image",
    }
)
"""Settings that a command needs for itself, or that say which runtime is meant."""


def fingerprints(settings: Settings, key: str) -> dict[str, str]:
    """Fingerprint the value of each setting that a runtime is started with, by the setting's name."""
    return {
        name: _fingerprint(name, key if name == "api_key" else getattr(settings, name), key)
        for name in type(settings).model_fields
        if name not in _OF_COMMANDS
    }


def ignored_settings(settings: Settings, running: Mapping[str, str], key: str) -> list[str]:
    """Names of variables that this environment sets and that the runtime with these fingerprints does not use."""
    return sorted(
        f"CODEWORDS_{name.upper()}"
        for name in settings.model_fields_set - _OF_COMMANDS
        if name in running and running[name] != _fingerprint(name, getattr(settings, name), key)
    )


def conflict_sentence(ignored: list[str]) -> str:
    """Return the message about ignored settings, with a remedy."""
    names = ", ".join(ignored)
    be = "is" if len(ignored) == 1 else "are"
    return (
        f"{names} {be} ignored: the runtime that runs was started with other settings. "
        "`codewords stop` ends it; the next command starts one with these."
    )


def _fingerprint(name: str, value: object, key: str) -> str:
    text = json.dumps([name, value], default=str, sort_keys=True)
    # Keyed and cut, since values are secrets at times: without the key nobody can guess a value
    # and compare, and 48 bits are enough to see that two values differ.
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:12]
