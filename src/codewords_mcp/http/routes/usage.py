"""Sums of the resources that runs used."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import get_args

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.bodies import query_int
from codewords_mcp.http.operations import HttpOperation, Parameter, items_of, whole_number
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.usage import UsageBy, UsageSum


async def usage(request: Request) -> Response:
    """Sums of the last days."""
    form = request.query_params.get("format", "json")
    by = _by(request.query_params.get("by", "workflow"))
    if form not in {"json", "csv"}:
        raise InvalidInput("`format` must be json or csv.")

    days = query_int(request, "days", low=1, high=3660) or 30
    sums = await runtime(request.scope).runs.usage(caller(request.scope), by=by, days=days)
    if form == "json":
        return JsonReply({"items": sums})

    name = f"usage-by-{by}-{datetime.now(UTC):%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(as_csv(sums), media_type="text/csv; charset=utf-8", headers=headers)


def _by(text: str) -> UsageBy:
    for known in get_args(UsageBy):
        if text == known:
            return known
    raise InvalidInput(f"`by` must be one of {', '.join(get_args(UsageBy))}.")


def as_csv(sums: list[UsageSum]) -> str:
    """A head and a line for each. A cell that a spreadsheet would take for a formula is led by an apostrophe."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(UsageSum.model_fields), lineterminator="\r\n")
    writer.writeheader()
    for usage_sum in sums:
        row = usage_sum.model_dump()
        # A workflow's name is its author's text, and a spreadsheet would execute it.
        if str(row["of"])[:1] in {"=", "+", "-", "@"}:
            row["of"] = f"'{row['of']}"
        writer.writerow(row)
    return out.getvalue()


OPERATIONS = [
    HttpOperation(
        "GET", "/usage", "Sum up what runs used", usage, tag="runs", reply=items_of(UsageSum), other_media=("text/csv",),
        parameters=(
            Parameter("by", "What to sum by.", {"type": "string", "enum": list(get_args(UsageBy)), "default": "workflow"}),
            Parameter("days", "Of the last days in UTC, today included.", whole_number(1, 3660, default=30)),
            Parameter("format", "`csv` for a spreadsheet.", {"type": "string", "enum": ["json", "csv"]}),
        ),
    ),
]  # fmt: skip
