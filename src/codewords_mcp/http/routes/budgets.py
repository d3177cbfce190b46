"""Budgets for model calls."""

from __future__ import annotations

from typing import cast, get_args

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.operations import HttpOperation, Parameter, items_of
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.budget import Budget, BudgetPeriod, BudgetScope

_SCOPES, _PERIODS = get_args(BudgetScope), get_args(BudgetPeriod)


class BudgetBody(Body):
    """`usd` is the ceiling. `subject` is the id of one workflow or key, or an owner; without it each has its own budget."""

    usd: float
    subject: str = ""
    period: BudgetPeriod = "total"


async def list_budgets(request: Request) -> Response:
    """Every budget."""
    return JsonReply({"items": await runtime(request.scope).budgets.list(caller(request.scope))})


async def set_budget(request: Request) -> Response:
    """Set or replace one."""
    body = await read_body(request, BudgetBody)
    made = await runtime(request.scope).budgets.set(
        caller(request.scope), _scope(request), body.usd, subject=body.subject, period=body.period
    )
    return JsonReply(made)


async def remove_budget(request: Request) -> Response:
    """Remove one."""
    period = request.query_params.get("period", "total")
    if period not in _PERIODS:
        raise InvalidInput(f"`period` must be one of {', '.join(_PERIODS)}.")

    await runtime(request.scope).budgets.remove(
        caller(request.scope),
        _scope(request),
        subject=request.query_params.get("subject", ""),
        period=cast("BudgetPeriod", period),
    )
    return Response(status_code=204)


def _scope(request: Request) -> BudgetScope:
    scope = str(request.path_params["scope"])
    if scope not in _SCOPES:
        raise InvalidInput(f"A budget's scope is one of {', '.join(_SCOPES)}.")
    return cast("BudgetScope", scope)


_SCOPE = Parameter(
    "scope", "What is limited.", {"type": "string", "enum": list(_SCOPES)}, "path", required=True
)
OPERATIONS = [
    HttpOperation(
        "GET", "/budgets", "List budgets for model calls", list_budgets, tag="costs", reply=items_of(Budget)
    ),
    HttpOperation(
        "PUT", "/budgets/{scope}", "Set a budget", set_budget, tag="costs", body=BudgetBody, reply=Budget,
        description="`scope` is call, run, workflow, key, owner or home.", parameters=(_SCOPE,),
    ),
    HttpOperation(
        "DELETE", "/budgets/{scope}", "Remove a budget", remove_budget, tag="costs", status=204,
        parameters=(
            _SCOPE,
            Parameter("subject", "Of one workflow, key or owner.", {"type": "string"}),
            Parameter("period", "total, month or day.", {"type": "string", "enum": list(_PERIODS), "default": "total"}),
        ),
    ),
]  # fmt: skip
