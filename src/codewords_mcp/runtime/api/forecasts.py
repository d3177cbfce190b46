"""Forecasts for workflows: what a run costs, what schedules will cost in a month, and which budgets bound it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.gateway.forecast import (
    PastCalls,
    PastRun,
    forecast,
    header_budgets,
    runs_in_month,
)
from codewords_mcp.runtime.model.budget import Budget
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.forecast import Forecast
from codewords_mcp.runtime.model.schedule import Schedule
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.triggers import cron

LAST_RUNS: Final = 50
"""Runs that a forecast is made from."""


async def forecast_for(
    container: Container, caller: Caller, service_id: str, schedules: Sequence[Schedule]
) -> Forecast | None:
    """The forecast for a workflow of the caller's that these schedules start; None without a run to learn from."""
    found = await container.database.read(rows.last_ended, caller.owner, service_id, LAST_RUNS)
    past = [
        PastRun(row["id"], (row["completed_at"] - row["running_at"]) / 1e6, row["cost"] or 0.0)
        for row in found
    ]
    calls = [
        PastCalls(
            one["run_id"], f"{one['provider']}/{one['model']}", one["calls"], one["cost"], one["unpriced"]
        )
        for one in await container.gateway.ledger.of_runs([run.id for run in past])
    ]
    month_runs = sum(_runs_in_month(one) for one in schedules if not one.paused)
    return forecast(past, calls, month_runs, await _budgets(container, caller, service_id))


def _runs_in_month(schedule: Schedule) -> int:
    start = datetime.now(UTC)
    if schedule.cron is None:
        return runs_in_month(schedule.next, start)
    return runs_in_month(cron.after(schedule.cron, cron.parse_zone(schedule.timezone), start), start)


async def _budgets(container: Container, caller: Caller, service_id: str) -> list[Budget]:
    """The budgets that bound runs of a workflow, as far as they are the caller's to know."""
    if caller.kind == "admin":
        shown = {"run", "workflow", "home"}
    else:
        shown = {"run", "workflow"}
    found = [
        one
        for one in await container.gateway.budgets.list()
        if one.scope in shown and one.subject in {"", service_id}
    ]
    try:
        rules = (await container.catalog.find(caller, service_id)).rules
    except CodewordsError:  # its environment is gone: the budgets of its header are not known now
        return found
    return found + header_budgets(rules)
