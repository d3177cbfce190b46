"""Base classes of the data models that the runtime API takes and returns. Times are timezone-aware UTC."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")


class Model(BaseModel):
    """Base class of the data models: immutable, without extra fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Page(BaseModel, Generic[T]):
    """A page of a list; `next_cursor` is None at the end."""

    items: list[T]
    next_cursor: str | None = None
