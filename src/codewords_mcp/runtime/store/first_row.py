"""Reading of the one row that a query is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Select

_Value = TypeVar("_Value")


def first_row(connection: Connection, query: Select[Any], make: Callable[..., _Value]) -> _Value | None:
    """The first row of a query, made by `make` of its columns by name; None without a row."""
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return make(**row)
