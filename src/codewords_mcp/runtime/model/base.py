"""Base classes of the data models that the runtime API takes and returns. Times are timezone-aware UTC."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")


class Model(BaseModel):
    """Base class of the data models: immutable, without extra fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def published_schema(schema: dict[str, Any], title: str, description: str) -> dict[str, Any]:
    """A JSON Schema of a model as it is published: with the dialect, and a title and description for its readers."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
    }
    return head | {key: value for key, value in schema.items() if key not in head}


class Page(BaseModel, Generic[T]):
    """A page of a list; `next_cursor` is None at the end."""

    items: list[T]
    next_cursor: str | None = None
