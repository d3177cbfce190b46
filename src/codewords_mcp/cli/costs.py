"""`codewords costs`: what model calls used and cost."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson


class CostGrouping(StrEnum):
    """The dimension that costs are summed by."""

    day = "day"
    workflow = "workflow"
    key = "key"
    run = "run"
    model = "model"


_FIELD = {"workflow": "service_id", "key": "key_id", "run": "run_id"}


def costs(
    by: Annotated[CostGrouping, typer.Option(help="What to sum by.")] = CostGrouping.day,
    days: Annotated[int, typer.Option(min=1, max=400, help="Of the last days, today included.")] = 30,
    as_json: AsJson = False,
) -> int:
    """Show what model calls used and cost, in USD."""
    with connect() as client:
        items = client.record("GET", "/costs", params={"by": by.value, "days": days})["items"]
    if as_json:
        _output.print_json(items)
        return OK

    rows = [
        [
            _name(item, by),
            f"{item['calls']:,}",
            f"{item['input_tokens']:,}",
            f"{item['output_tokens']:,}",
            money(item["cost"]),
            _remarks(item),
        ]
        for item in items
    ]
    heads = [by.value.upper(), "CALLS", "INPUT", "OUTPUT", "COST (USD)", "OF THESE"]
    _output.table(heads, rows, empty="No model calls in this time.")

    return OK


def money(amount: float) -> str:
    """USD with as many digits as tell something: 12.34, 0.0042, 0.00000015."""
    if amount >= 10 or not amount:
        return f"{amount:,.2f}"
    return f"{amount:.10f}".rstrip("0").rstrip(".")


def _name(item: dict[str, Any], by: CostGrouping) -> str:
    if by is CostGrouping.model:
        return f"{item['provider']}/{item['model']}"
    return str(item[_FIELD.get(by.value, by.value)]) or "-"


def _remarks(item: dict[str, Any]) -> str:
    counts = (
        (item["estimated"], "estimated"),
        (item["unpriced"], "without a price"),
        (item["cached"], "kept answers"),
        (item["fallbacks"], "stood in"),
    )
    return ", ".join(f"{count:,} {word}" for count, word in counts if count)
