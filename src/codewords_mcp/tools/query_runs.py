"""`query_runs`: answer a question about runs by SQL."""

from __future__ import annotations

import json
from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.text import clean, clean_json, fence
from codewords_mcp.mcp_server.tool import READS, tool, tool_result
from codewords_mcp.runtime.model.run_query import QueryResult

_MAX_ROWS = 200
_MAX_SHOWN = 8_000
"""Characters of rows; what does not fit is left out by whole rows."""


class QueryAnswer(BaseModel):
    """Rows. `more`: there are more than these; `note`: what was not looked at."""

    columns: list[str] = []
    rows: list[list[Any]] = []
    more: bool = False
    note: str | None = None
    views: str | None = None


async def query_runs(ctx: ToolContext, sql: str = "") -> Annotated[CallToolResult, QueryAnswer]:
    """SELECT (SQLite) from runs, calls, model_calls, triggers. Without sql: their columns."""
    runtime, caller = runtime_and_caller(ctx)
    if not sql.strip():
        views = runtime.queries.describe()
        return tool_result(QueryAnswer(views=views), views)
    found = await runtime.queries.query(caller, sql, limit=_MAX_ROWS)

    data = _data(found)
    if not data.rows:
        return tool_result(data, "\n".join(filter(None, ["No rows.", data.note])))
    lines = [" | ".join(data.columns), *(_line(row) for row in data.rows)]
    text = [fence("Rows", "\n".join(lines), _MAX_SHOWN * 2)]
    if data.more:
        text.append(f"There are more rows than these {len(data.rows)}.")
    return tool_result(data, "\n".join([*text, *filter(None, [data.note])]))


def _data(found: QueryResult) -> QueryAnswer:
    rows: list[list[Any]] = []
    size = 0
    for row in found.rows:
        cells = [clean_json(value) for value in row]
        size += len(_line(cells)) + 1
        if size > _MAX_SHOWN and rows:
            break
        rows.append(cells)

    note = None
    if found.cut:
        note = f"Only the newest rows of {', '.join(found.cut)} were looked at."
    return QueryAnswer(
        columns=[clean(name) for name in found.columns],
        rows=rows,
        more=found.more or len(rows) < len(found.rows),
        note=note,
    )


def _line(row: list[Any]) -> str:
    return " | ".join(
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in row
    )


TOOL = tool(query_runs, title="Query runs", hints=READS)
