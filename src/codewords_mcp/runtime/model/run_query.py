"""Answers of queries over runs."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from codewords_mcp.runtime.model.base import Model


class QueryResult(Model):
    """Rows of a query. `more`: there are further rows; `cut`: tables of which only the newest rows were looked at."""

    columns: list[str]
    rows: list[list[Any]]
    more: bool = False
    cut: list[str] = Field(default_factory=list[str])
