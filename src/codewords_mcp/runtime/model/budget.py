"""Budgets for model calls."""

from __future__ import annotations

from typing import Literal

from codewords_mcp.runtime.model.base import Model

CostsBy = Literal["day", "workflow", "key", "run", "model"]
BudgetScope = Literal["call", "run", "workflow", "key", "home"]
BudgetPeriod = Literal["total", "month", "day"]
"""Calendar days and months in UTC."""


class Budget(Model):
    """A ceiling for model calls, in USD. `subject` is one workflow's or key's id; "" holds for each of them alone.

    `spent` and `reserved` are told for the home and for one workflow or key.
    """

    scope: BudgetScope
    subject: str = ""
    period: BudgetPeriod = "total"
    usd: float
    spent: float | None = None
    reserved: float | None = None
