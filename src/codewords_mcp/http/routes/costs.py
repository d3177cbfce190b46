"""Costs of model calls."""

from __future__ import annotations

from typing import cast, get_args

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.bodies import query_int
from codewords_mcp.http.operations import HttpOperation, Parameter, whole_number
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.budget import CostsBy

_ITEM = {
    "type": "object",
    "properties": {
        "calls": {"type": "integer"}, "input_tokens": {"type": "integer"}, "output_tokens": {"type": "integer"},
        "cost": {"type": "number", "description": "USD."},
        "estimated": {"type": "integer", "description": "Calls whose tokens the provider did not tell."},
        "unpriced": {"type": "integer", "description": "Calls of models without a known price, not in `cost`."},
        "cached": {"type": "integer", "description": "Calls answered with what was kept, at no cost."},
        "fallbacks": {"type": "integer", "description": "Calls that this model answered instead of another."},
    },
}  # fmt: skip


async def costs(request: Request) -> Response:
    """Sums by one dimension."""
    by = request.query_params.get("by", "day")
    if by not in get_args(CostsBy):
        raise InvalidInput(f"`by` must be one of {', '.join(get_args(CostsBy))}.")

    items = await runtime(request.scope).models.costs(
        caller(request.scope),
        by=cast("CostsBy", by),
        days=query_int(request, "days", low=1, high=400) or 30,
        limit=query_int(request, "limit", low=1, high=1000) or 100,
    )
    return JsonReply({"items": items})


OPERATIONS = [
    HttpOperation(
        "GET", "/costs", "What model calls used and cost", costs, tag="costs",
        description="An admin's key sees every owner's. `cached` tokens are among the input, `reasoning` among the output.",
        parameters=(
            Parameter("by", "What to sum by.", {"type": "string", "enum": list(get_args(CostsBy)), "default": "day"}),
            Parameter("days", "Of the last days, 1 to 400, today included.", whole_number(1, 400, default=30)),
            Parameter("limit", "At most so many, 1 to 1000.", whole_number(1, 1000, default=100)),
        ),
        reply={"type": "object", "properties": {"items": {"type": "array", "items": _ITEM}}, "required": ["items"]},
    ),
]  # fmt: skip
