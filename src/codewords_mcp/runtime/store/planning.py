"""Conditions that PostgreSQL plans well whatever its statistics say."""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import Column, ColumnElement, and_, literal, select

Value = TypeVar("Value", int, str)


def in_few_rows(column: Column[Value], first: Value, last: Value) -> ColumnElement[bool]:
    """Condition that a column is from `first` to `last`, taken to hold for one row in 200.

    For columns of partial indexes with few rows. While many rows have just left such an index, the
    statistics are those of before, and a scan of the whole table would look cheaper. PostgreSQL
    assumes so few rows for a range whose ends it can't see when it plans.
    """
    least, most = (select(literal(end, column.type)).scalar_subquery() for end in (first, last))
    return and_(column >= least, column <= most)
