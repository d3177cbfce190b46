"""Budgets for model calls."""

from __future__ import annotations

from typing import Literal

from codewords_mcp.runtime.model.base import Model

CostsBy = Literal["day", "workflow", "key", "run", "model"]
BudgetScope = Literal["call", "run", "workflow", "key", "owner", "home"]
BudgetPeriod = Literal["total", "month", "day"]
"""Calendar days and months in UTC."""


class Budget(Model):
    """A ceiling for model calls, in USD. `subject` is a workflow's or key's id, or an owner; ""
    applies to each of them separately.

    `spent` and `reserved` are filled in for budgets of the home, one workflow, one key or one owner.
    """

    scope: BudgetScope
    subject: str = ""
    period: BudgetPeriod = "total"
    usd: float
    spent: float | None = None
    reserved: float | None = None
