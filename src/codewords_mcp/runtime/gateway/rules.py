"""What a workflow's header says about its model calls, and which models a list allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, cast

from codewords_mcp.runtime.model.provider import Provider

_PROVIDERS = ("openai", "anthropic", "gemini")


@dataclass(frozen=True, slots=True)
class Rules:
    """`[tool.codewords]`: `budget` scope → USD; `models` that it may ask, None for all; `fallbacks` model → those that stand
    in for it; `cache` seconds that answers are kept, 0 for none; `trace_content` whether telemetry tells what was said, None
    for what the environment says.
    """

    budget: dict[str, float] = field(default_factory=dict[str, float])
    models: tuple[str, ...] | None = None
    fallbacks: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    cache: float = 0.0
    trace_content: bool | None = None


NONE = Rules()


def rules_of(tool: Mapping[str, Any]) -> Rules:
    """Read a header's table, which was checked when the workflow was deployed."""
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
    """Whether a list of names and patterns (`gpt-4o*`, `anthropic/*`) holds a model."""
    plain = plain_name(model)
    return any(fnmatchcase(name, pattern) for pattern in listed for name in (plain, f"{provider}/{plain}"))


def plain_name(model: str) -> str:
    """A model's name without what Gemini's interfaces put before it."""
    return model.removeprefix("models/")


def placed(model: str, provider: Provider) -> tuple[Provider, str]:
    """(provider, model) of a name in a list of fallbacks, where `provider` is meant unless the name says another."""
    first, _, rest = model.partition("/")
    if rest and first in _PROVIDERS:
        return (first, rest)
    return (provider, model)


def stand_ins(
    tables: Iterable[Mapping[str, list[str]]], provider: Provider, model: str
) -> list[tuple[Provider, str]]:
    """Who stands in for a model, by the first table that names it."""
    plain = plain_name(model)
    for table in tables:
        listed = table.get(plain) or table.get(f"{provider}/{plain}")
        if listed:
            return [placed(one, provider) for one in listed]
    return []
