"""Forecasts of what runs of a workflow cost, one by one and scheduled, from its last runs."""

from __future__ import annotations

from pydantic import Field

from codewords_mcp.runtime.model.base import Model


class Spread(Model):
    """A value over several runs: half of them have at most `p50`, 95 of 100 at most `p95`."""

    mean: float
    p50: float
    p95: float
    max: float


class ModelForecast(Model):
    """One model in an average run. `cost` in USD; `priced` is false where no price of it is known."""

    model: str
    calls: float
    cost: float
    priced: bool


class MonthForecast(Model):
    """The runs that schedules start in 30 days. `cost` in USD is for average runs, `high_cost` for those at p95."""

    runs: int
    cost: float
    high_cost: float
    seconds: float


class Forecast(Model):
    """From the last `runs` runs. `cost` in USD is of model calls with known prices, `seconds` of a run itself.

    `month` is None without a schedule. `ceilings` are the budgets that bound it. `lines` say all of it.
    """

    runs: int
    cost: Spread
    seconds: Spread
    models: list[ModelForecast] = Field(default_factory=list[ModelForecast])
    month: MonthForecast | None = None
    ceilings: list[str] = Field(default_factory=list[str])
    lines: list[str] = Field(default_factory=list[str])
