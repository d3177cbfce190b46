"""Options of an event trigger: checked, stored, and the interval of its looks."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.time_bounds import check_seconds
from codewords_mcp.runtime.triggers.sources.base import MAX_INTERVAL_S, EventSource
from codewords_mcp.runtime.triggers.sources.run_ended import RunEndedOptions

MAX_CATCH_UP = 1000


def check_options(source: EventSource[Any], options: dict[str, Any]) -> BaseModel:
    """Return the options of a source as its model. Raises InvalidInput that names each fault."""
    try:
        checked: BaseModel = source.Options.model_validate(options)
    except ValidationError as invalid:
        faults = "; ".join(
            f"`{'.'.join(str(part) for part in fault['loc']) or 'options'}`: {fault['msg']}"
            for fault in invalid.errors(include_url=False, include_input=False, include_context=False)[:5]
        )
        names = ", ".join(source.Options.model_fields)
        raise InvalidInput(
            f"The options do not fit the kind {source.kind}: {faults}.", hint=f"Its options are {names}."
        ) from None
    return checked


def stored_options(options: BaseModel) -> JsonObject:
    """Return options as they are stored: without those that are not set."""
    stored: dict[str, JsonValue] = options.model_dump(mode="json", exclude_none=True)
    return stored


def watched_workflow(options: BaseModel) -> str | None:
    """Return the workflow whose runs a trigger watches; None for any other source."""
    if not isinstance(options, RunEndedOptions):
        return None
    return options.workflow


def interval_of(source: EventSource[Any], interval_s: float | None) -> float:
    """Return the seconds between two looks: those that were asked for, or the kind's. Raises InvalidInput."""
    if interval_s is None:
        return source.interval_s
    if not source.polled:
        raise InvalidInput(f"The kind {source.kind} has no pause: its events come by themselves.")
    check_seconds(interval_s, "interval_s", high=MAX_INTERVAL_S)
    if interval_s < source.min_interval_s:
        raise InvalidInput(
            f"`interval_s` must be at least {source.min_interval_s:g} for the kind {source.kind}."
        )
    return interval_s


def check_catch_up(catch_up: int) -> None:
    """Raise InvalidInput for a number of missed events that is out of bounds."""
    if not 0 <= catch_up <= MAX_CATCH_UP:
        raise InvalidInput(f"`catch_up` must be between 0 and {MAX_CATCH_UP}.")
