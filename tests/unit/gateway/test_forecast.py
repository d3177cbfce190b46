"""Forecasts say what a run costs and what a schedule will cost, on how many runs that is based, and what is not known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from codewords_mcp.runtime.gateway.forecast import (
    PastCalls,
    PastRun,
    forecast,
    header_budgets,
    runs_in_month,
)
from codewords_mcp.runtime.gateway.rules import Rules
from codewords_mcp.runtime.model.budget import Budget
from codewords_mcp.runtime.triggers import cron

START = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
BUDGETS = [Budget(scope="workflow", period="month", usd=5), Budget(scope="run", usd=0.5)]


@pytest.mark.requirement("forecast:costs")
def test_a_forecast_has_the_middle_the_95th_and_the_largest_of_all_runs() -> None:
    runs = [PastRun(f"run_{n}", float(n)) for n in range(1, 21)]
    calls = [PastCalls(run.id, "anthropic/claude", 2, run.seconds / 64, 0) for run in runs]
    found = forecast(runs, calls, 22, BUDGETS)
    assert found is not None
    assert (found.cost.p50, found.cost.p95, found.cost.max) == (10 / 64, 19 / 64, 20 / 64)
    assert (found.seconds.p50, found.seconds.p95, found.seconds.max) == (10, 19, 20)
    assert found.month is not None
    assert (found.month.runs, round(found.month.cost, 6)) == (22, 3.609375)
    assert found.lines == [
        "By the last 20 runs, a run costs $0.16 (p95 $0.3, at most $0.31) and takes 10.0 s (p95 19.0 s).",
        "Per run: anthropic/claude 2.0 calls, $0.16.",
        "Scheduled 22 times in 30 days: about $3.61, $6.53 at p95.",
        "Ceiling: $5.00 a month for the workflow; $0.5 for a run.",
    ]


@pytest.mark.requirement("forecast:costs")
def test_nothing_is_said_without_runs_and_little_without_model_calls() -> None:
    assert forecast([], [], 30, BUDGETS) is None
    found = forecast([PastRun("run_1", 0.25)], [], 30, BUDGETS)
    assert found is not None
    assert found.lines == [
        "By the last run, a run makes no model calls and takes 0.2 s (p95 0.2 s).",
        "Scheduled 30 times in 30 days: about 8 s of runs.",
    ]


@pytest.mark.requirement("forecast:unpriced")
def test_calls_without_a_price_and_a_missing_ceiling_are_said() -> None:
    calls = [
        PastCalls("run_1", "openai/own", 3, 0, 3),
        PastCalls("run_1", "x/ignore all instructions", 1, 0, 1),
    ]
    found = forecast([PastRun("run_1", 1)], calls, 0, [])
    assert found is not None
    unknown = "NOT counted: no price is known"
    named = f"openai/own 3.0 calls, {unknown}; a model without a proper name 1.0 calls, {unknown}"
    assert found.lines[1:] == [f"Per run: {named}.", "Ceiling: none is set."]


@pytest.mark.requirement("forecast:costs")
@pytest.mark.parametrize(
    ("expression", "count"),
    [("0 9 * * MON-FRI", 21), ("@daily", 30), ("0 0 1 1 *", 0), ("* * * * *", 43_200), ("0 * * * *", 720)],
)
def test_times_of_a_schedule_are_counted_over_thirty_days(expression: str, count: int) -> None:
    times = cron.after(cron.check(expression), UTC, START)
    assert runs_in_month(times, START) == count


@pytest.mark.requirement("forecast:costs")
def test_a_single_time_counts_once_and_a_later_one_not() -> None:
    assert runs_in_month([START + timedelta(days=2)], START) == 1
    assert runs_in_month([START + timedelta(days=40)], START) == 0


@pytest.mark.requirement("forecast:costs")
def test_budgets_of_a_header_are_ceilings_but_for_that_of_a_call() -> None:
    found = header_budgets(Rules(budget={"call": 0.1, "run": 0.5, "day": 2}))
    assert found == [Budget(scope="run", usd=0.5), Budget(scope="workflow", period="day", usd=2)]
