"""Fields of the commands on collections, and how commands read them."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import AliasChoices, Field, FiniteFloat

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.services.base import Input

MAX_MEMBERS: Final = 10_000
"""Members of one key. Each change writes the whole key, so larger collections belong in a table."""


class CollectionInput(Input):
    """Fields of the commands on collections, named as in Redis's documentation."""

    value: Any = Field(
        default=None,
        description="Any JSON; returned unchanged. A member of a set or list; for `incr` and `hincrby` the increment.",
    )
    values: list[Any] | None = Field(
        default=None,
        max_length=MAX_MEMBERS,
        validation_alias=AliasChoices("values", "members"),
        description="Several members instead of `value`.",
    )
    field: str | None = Field(default=None, max_length=512, description="A field of a hash.")
    fields: list[str] | None = Field(default=None, max_length=MAX_MEMBERS)
    mapping: dict[str, Any] | None = Field(
        default=None,
        max_length=MAX_MEMBERS,
        description="For `hset` fields and their values, for `zadd` members and their scores.",
    )
    score: FiniteFloat | None = Field(
        default=None, description="For `zadd` with `value`; the increment of `zincrby`."
    )
    index: int | None = Field(default=None, description="For `lindex` and `lset`; -1 is the last.")
    start: int = Field(default=0, description="The first of a range; -1 is the last member.")
    stop: int = Field(
        default=-1, validation_alias=AliasChoices("stop", "end"), description="The last of a range, included."
    )
    min: str | FiniteFloat = Field(default="-inf", description='A score; "(5" excludes 5, "-inf" is none.')
    max: str | FiniteFloat = Field(default="+inf")
    count: int | None = Field(
        default=None,
        description="How many to pop, list or scan at most. For `lrem` as in Redis: negative from the end, 0 all.",
    )
    offset: int = Field(default=0, ge=0, description="How many members of a range of scores to leave out.")
    with_scores: bool = Field(
        default=False,
        validation_alias=AliasChoices("with_scores", "withscores"),
        description="Members of sorted sets as [member, score].",
    )
    nx: bool = Field(default=False, description="For `set` and `zadd`: only if it is not there.")
    xx: bool = Field(default=False, description="For `set` and `zadd`: only if it is there.")


def canonical(member: Any) -> str:
    """A member as canonical JSON, so that equal members are equal texts."""
    return json.dumps(member, sort_keys=True, ensure_ascii=False)


def members_of(params: CollectionInput) -> list[Any]:
    """The members of a call. Raises InvalidInput without any."""
    if params.values:
        return params.values
    if "value" not in params.model_fields_set:
        raise InvalidInput("`value` or `values` is missing.")
    return [params.value]


def member_of(params: CollectionInput) -> str:
    """Return the member of a call as canonical JSON. Raises InvalidInput without one."""
    if "value" not in params.model_fields_set:
        raise InvalidInput("`value`, the member, is missing.")
    return canonical(params.value)


def range_of(start: int, stop: int, length: int) -> slice:
    """A range of Redis, which includes its end, as a slice."""
    first = max(start + length, 0) if start < 0 else start
    last = stop + length if stop < 0 else stop
    # Without the bound, a negative end would count from the end once more.
    return slice(first, max(last + 1, 0))


def pop_count(params: CollectionInput) -> int:
    """Return how many to pop. Raises InvalidInput."""
    count = 1 if params.count is None else params.count
    if count < 0:
        raise InvalidInput("`count` must not be negative here.")
    return count
