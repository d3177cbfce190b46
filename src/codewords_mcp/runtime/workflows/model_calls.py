"""Header options for a workflow's model calls: budget, models, fallbacks, cache and telemetry
content.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from codewords_mcp.errors import InvalidScript
from codewords_mcp.runtime.model.workflow_header import (
    MAX_BUDGET_USD,
    MAX_CACHE_S,
    MAX_MODELS,
    NAMED_MODEL,
    HeaderBudget,
)
from codewords_mcp.runtime.workflows.header import Header

_BUDGETS = frozenset(HeaderBudget.model_fields)
_MODEL = re.compile(NAMED_MODEL)


def check_model_calls(header: Header, table: Mapping[str, Any]) -> None:
    """Raise InvalidScript for an invalid value."""
    for key, (fits, expected, hint) in _CHECKS.items():
        if key in table and not fits(table[key]):
            raise InvalidScript(
                f"`{key}` in [tool.codewords] is not {expected}.",
                hint=hint,
                line=header.line_of(key),
                column=1,
            )


def _is_budget(value: Any) -> bool:
    return isinstance(value, dict) and all(
        # `type`, not isinstance: `true` is an int for isinstance and would be a budget of 1
        # USD.
        name in _BUDGETS and type(usd) in {int, float} and 0 <= usd <= MAX_BUDGET_USD
        for name, usd in cast("dict[str, Any]", value).items()
    )


def _is_models(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(cast("list[Any]", value)) <= MAX_MODELS
        and all(isinstance(name, str) and _MODEL.fullmatch(name) for name in cast("list[Any]", value))
    )


def _is_fallbacks(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_models(models) for models in cast("dict[str, Any]", value).values()
    )


def _is_seconds(value: Any) -> bool:
    return type(value) in {int, float} and 0 <= value <= MAX_CACHE_S


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


_CHECKS: dict[str, tuple[Callable[[Any], bool], str, str]] = {
    "budget": (
        _is_budget,
        f"a table of amounts in USD for {', '.join(sorted(_BUDGETS))}",
        "Write for example `# budget = {run = 0.50, day = 5}`.",
    ),
    "models": (
        _is_models,
        "a list of names or patterns of models",
        'Write for example `# models = ["gpt-4o-mini", "anthropic/*"]`: it may ask no others.',
    ),
    "fallbacks": (
        _is_fallbacks,
        "a table of lists of models",
        'Write for example `# fallbacks = {"gpt-4o" = ["gpt-4o-mini"]}`: the list stands in for the model.',
    ),
    "cache": (
        _is_seconds,
        f"a number of seconds up to {MAX_CACHE_S}",
        "Write for example `# cache = 3600`: answers to the same question are kept for an hour.",
    ),
    "trace_content": (
        _is_bool,
        "true or false",
        "With `# trace_content = true` its prompts and replies go to the telemetry collector, where one is configured.",
    ),
}
