"""SQL over runs, as `codewords runs --sql` prints it."""

from __future__ import annotations

import json
from typing import Any

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect


def query_runs(sql: str, *, limit: int, as_json: bool) -> int:
    """Print the rows of a SELECT, or the columns of the views for an empty one."""
    with connect() as client:
        answer = client.record("POST", "/runs/query", body={"sql": sql, "limit": min(limit, 1000)})

    if as_json:
        _output.print_json(answer)
        return OK
    if answer.get("views"):
        _output.line(str(answer["views"]))
        return OK

    rows = [[_cell(value) for value in row] for row in answer["rows"]]
    if answer["columns"]:
        _output.table([str(name) for name in answer["columns"]], rows, empty="No rows.")
    if answer["more"]:
        _output.note("There are more rows; --limit shows up to 1000 of them.", always=True)
    if answer["cut"]:
        _output.note(f"Only the newest rows of {', '.join(answer['cut'])} were looked at.", always=True)
    return OK


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value)
