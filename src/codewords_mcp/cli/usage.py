"""`codewords usage`: what runs used, in sums."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._client import Json, remote_error
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.cli.costs import money
from codewords_mcp.common.counts import counted


class UsageGrouping(StrEnum):
    """The dimension to sum by."""

    workflow = "workflow"
    key = "key"
    day = "day"


def usage(
    by: Annotated[UsageGrouping, typer.Option(help="What to sum by.")] = UsageGrouping.workflow,
    days: Annotated[int, typer.Option(min=1, max=3660, help="Of the last days, today included.")] = 30,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for a spreadsheet.")] = False,
    as_json: AsJson = False,
) -> int:
    """Sum up what runs used: time waiting, starting and running, CPU, memory, bytes from and to
    the internet, and what machines and models cost.
    """
    params: Json = {"by": by.value, "days": days}
    with connect() as client:
        if as_csv:
            query = f"/usage?by={by.value}&days={days}&format=csv"
            with client.stream("GET", query, content=None, headers={}, timeout=60) as response:
                content = response.read()
                if response.is_error:
                    raise remote_error(response.status_code, content)

            _output.raw(content.decode(errors="replace"))
            return OK

        items = client.record("GET", "/usage", params=params)["items"]

    if as_json:
        _output.print_json(items)
        return OK

    headers = [
        by.value.upper(),
        "RUNS",
        "FAILED",
        "WAITED",
        "STARTED",
        "RAN",
        "CPU",
        "MEMORY",
        "IN",
        "OUT",
        "COST",
    ]
    _output.table(headers, [_row(item) for item in items], empty=f"No runs in {counted(days, 'day')}.")
    return OK


def _row(one: Json) -> list[str]:
    times = [f"{one[f'{name}_seconds']:.1f} s" for name in ("waiting", "starting", "running", "cpu")]
    if one["peak_memory"] is None:
        memory = ""
    else:
        memory = f"{one['peak_memory'] / (1 << 20):.0f} MiB"

    moved = [_output.size(one[f"egress_{way}"]) for way in ("in", "out")]
    if one["cost"] is None:
        cost = ""
    else:
        cost = money(one["cost"])

    if one["unpriced"]:
        cost += f" + {counted(one['unpriced'], 'call')} without a price"
    return [str(one["of"]), str(one["runs"]), str(one["failed"]), *times, memory, *moved, cost]
