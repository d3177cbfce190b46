"""Rules from a workflow's header for its model calls, and matching of models against lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, cast

from codewords_mcp.runtime.model.provider import OWN_PROVIDERS, Provider


@dataclass(frozen=True, slots=True)
class Rules:
    """Model settings of `[tool.codewords]`.

    `budget`: scope → USD. `models`: allowed names, None for all. `fallbacks`: model → its
    replacements. `cache`: seconds that responses are stored, 0 for none. `trace_content`: whether
    telemetry holds messages, None for the environment's default.
    """

    budget: dict[str, float] = field(default_factory=dict[str, float])
    models: tuple[str, ...] | None = None
    fallbacks: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    cache: float = 0.0
    trace_content: bool | None = None


NONE = Rules()


def rules_of(tool: Mapping[str, Any]) -> Rules:
    """Read a header's table. It was validated when the workflow was deployed."""
    if not tool.keys() & {"budget", "models", "fallbacks", "cache", "trace_content"}:
        return NONE

    models: Any = tool.get("models")
    return Rules(
        cast("dict[str, float]", tool.get("budget", {})),
        None if models is None else tuple(cast("list[str]", models)),
        cast("dict[str, list[str]]", tool.get("fallbacks", {})),
        float(tool.get("cache", 0.0)),
        tool.get("trace_content"),
    )


@lru_cache(maxsize=4096)
def allows(listed: tuple[str, ...], provider: Provider, model: str) -> bool:
    """Whether a list of names and patterns (`gpt-4o*`, `anthropic/*`) contains a model."""
    plain = plain_name(model)
    if provider not in OWN_PROVIDERS:
        return any(_names(pattern, provider, plain) for pattern in listed)
    return any(fnmatchcase(name, pattern) for pattern in listed for name in (plain, f"{provider}/{plain}"))


def _names(pattern: str, provider: Provider, model: str) -> bool:
    """Whether a pattern means a model of a named provider: only with that name before it, or as `*`.

    Names of others' models must not fit: OpenRouter's have a provider's name of their own, and `gpt-4o*` means OpenAI's.
    """
    first, slash, rest = pattern.partition("/")
    if not slash:
        return pattern == "*"
    return fnmatchcase(provider, first) and fnmatchcase(model, rest)


def plain_name(model: str) -> str:
    """A model's name without the prefix of Gemini's interfaces."""
    return model.removeprefix("models/")


def parse_fallback(model: str, provider: Provider) -> tuple[Provider, str]:
    """(provider, model) of a fallback's name. Names without a provider mean `provider`."""
    first, _, rest = model.partition("/")
    # A model's name may have a slash of its own, as `models/…` has.
    if rest and first in OWN_PROVIDERS:
        return (first, rest)
    return (provider, model)


def fallbacks_for(
    tables: Iterable[Mapping[str, list[str]]], provider: Provider, model: str
) -> list[tuple[Provider, str]]:
    """The fallbacks of a model, by the first table that names it."""
    plain = plain_name(model)
    for table in tables:
        listed = table.get(plain) or table.get(f"{provider}/{plain}")
        if listed:
            return [parse_fallback(name, provider) for name in listed]
    return []
