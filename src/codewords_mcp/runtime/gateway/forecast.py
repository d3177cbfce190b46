"""Forecasts of costs: pure functions of past runs, times of schedules and budgets."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, cast

from codewords_mcp.runtime.gateway.rules import Rules
from codewords_mcp.runtime.model.budget import Budget, BudgetPeriod
from codewords_mcp.runtime.model.forecast import Forecast, ModelForecast, MonthForecast, Spread

MONTH: Final = timedelta(days=30)
_MAX_TIMES: Final = 3000
"""Times of a schedule that are counted; more frequent ones go on as often."""
_NAME: Final = re.compile(r"[\w.:/@+-]{1,100}")
"""A model's name. A program may send any text in its place, which is not shown."""
_FOR: Final = {
    "run": "for a run",
    "workflow": "for the workflow",
    "key": "for a key",
    "home": "for all workflows",
}
_PERIODS: Final = {"month": " a month", "day": " a day", "total": " in all"}


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that ended. `seconds` without its time in the queue; `cost` of its machines in USD."""

    id: str
    seconds: float
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class PastCalls:
    """The calls of one model in one run. `unpriced` of them are not in `cost`, which is in USD."""

    run_id: str
    model: str
    calls: int
    cost: float
    unpriced: int


def forecast(
    runs: Sequence[PastRun], calls: Sequence[PastCalls], month_runs: int, budgets: Iterable[Budget]
) -> Forecast | None:
    """The forecast for a workflow that schedules start `month_runs` times a month; None without a run to learn from."""
    if not runs:
        return None
    costs = {run.id: run.cost for run in runs}
    for one in calls:
        costs[one.run_id] += one.cost
    cost = _spread(list(costs.values()))
    seconds = _spread([run.seconds for run in runs])

    month = None
    if month_runs:
        month = MonthForecast(
            runs=month_runs,
            cost=month_runs * cost.mean,
            high_cost=month_runs * cost.p95,
            seconds=month_runs * seconds.mean,
        )
    made = Forecast(
        runs=len(runs),
        cost=cost,
        seconds=seconds,
        models=_models(calls, len(runs)),
        month=month,
        # Budgets bound model calls, so they say nothing of a workflow without any.
        ceilings=[_ceiling(one) for one in budgets] if calls else [],
    )
    return made.model_copy(update={"lines": _lines(made)})


def runs_in_month(times: Iterable[datetime], start: datetime) -> int:
    """Times of a schedule within the 30 days from `start`."""
    end = start + MONTH
    count = 0
    last = start
    for last in islice(times, _MAX_TIMES):
        if last > end:
            return count
        count += 1
    # A schedule with an end comes to it within the month.
    if count < _MAX_TIMES:
        return count
    # A schedule of every minute has 43,200 times in a month: its pace so far goes on.
    return round(count * (MONTH / (last - start)))


def _spread(values: list[float]) -> Spread:
    ordered = sorted(values)
    return Spread(
        mean=sum(ordered) / len(ordered),
        p50=_percentile(ordered, 50),
        p95=_percentile(ordered, 95),
        max=ordered[-1],
    )


def _percentile(ordered: Sequence[float], percent: int) -> float:
    # The nearest rank: a value that was seen, also where there are few.
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _models(calls: Sequence[PastCalls], runs: int) -> list[ModelForecast]:
    by_model: dict[str, list[PastCalls]] = {}
    for one in calls:
        by_model.setdefault(one.model, []).append(one)
    found = [
        ModelForecast(
            model=model,
            calls=sum(one.calls for one in some) / runs,
            cost=sum(one.cost for one in some) / runs,
            priced=not any(one.unpriced for one in some),
        )
        for model, some in by_model.items()
    ]
    return sorted(found, key=_dearest)


def _dearest(one: ModelForecast) -> tuple[float, str]:
    return -one.cost, one.model


def _ceiling(budget: Budget) -> str:
    period = "" if budget.scope == "run" else _PERIODS[budget.period]
    return f"{money(budget.usd)}{period} {_FOR[budget.scope]}"


def _lines(made: Forecast) -> list[str]:
    if made.runs == 1:
        based = "the last run"
    else:
        based = f"the last {made.runs} runs"
    takes = f"{made.seconds.p50:.1f} s (p95 {made.seconds.p95:.1f} s)"
    if not made.models:
        lines = [f"By {based}, a run makes no model calls and takes {takes}."]
    else:
        cost = made.cost
        costs = f"{money(cost.p50)} (p95 {money(cost.p95)}, at most {money(cost.max)})"
        lines = [
            f"By {based}, a run costs {costs} and takes {takes}.",
            f"Per run: {'; '.join(map(_model, made.models))}.",
        ]
    month = made.month
    if month is not None and made.models:
        if month.high_cost > month.cost:
            high = f", {money(month.high_cost)} at p95"
        else:
            high = ""
        lines.append(f"Scheduled {_times(month.runs)} in 30 days: about {money(month.cost)}{high}.")
    elif month is not None:
        lines.append(f"Scheduled {_times(month.runs)} in 30 days: about {_long(month.seconds)} of runs.")
    if made.models:
        lines.append(f"Ceiling: {'; '.join(made.ceilings) or 'none is set'}.")
    return lines


def _model(one: ModelForecast) -> str:
    if _NAME.fullmatch(one.model):
        name = one.model
    else:
        name = "a model without a proper name"
    calls = f"{name} {one.calls:.1f} calls"
    if one.priced:
        return f"{calls}, {money(one.cost)}"
    return f"{calls}, NOT counted: no price is known"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _long(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:,.0f} min"


def money(amount: float) -> str:
    """US dollars with as many digits as tell something: $12.30, $0.0042."""
    if amount >= 1 or not amount:
        return f"${amount:,.2f}"
    if amount >= 0.0001:
        return f"${amount:.2g}"
    return "less than $0.0001"


def header_budgets(rules: Rules) -> list[Budget]:
    """The budgets that a header sets for its own runs; that of a single call bounds no month."""
    found: list[Budget] = []
    for name, usd in rules.budget.items():
        if name == "run":
            found.append(Budget(scope="run", usd=usd))
        elif name in {"day", "month", "total"}:
            found.append(Budget(scope="workflow", period=cast("BudgetPeriod", name), usd=usd))
    return found
