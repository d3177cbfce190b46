"""The routes that list, search and query runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, cast, get_args

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.bodies import Body, query_int, read_body
from codewords_mcp.http.operations import HttpOperation, Parameter, page_of, whole_number
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.routes.run_records import RECORD
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.http.wire_format import run_record, run_row, timestamp
from codewords_mcp.runtime.model.moments import parse_moment
from codewords_mcp.runtime.model.run import ExecutionMode, RunStatus
from codewords_mcp.runtime.model.run_filter import RunConditions, RunTrigger
from codewords_mcp.runtime.model.run_listing import RunPage
from codewords_mcp.runtime.model.run_query import QueryResult

View = Literal["records", "rows"]
LONGEST = 200
"""Characters of a search."""


async def list_runs(request: Request) -> Response:
    """List runs, newest first, as records or as rows; rows can be searched."""
    query, runs = request.query_params, runtime(request.scope).runs
    limit, cursor = query_int(request, "limit", low=1, high=100) or 20, query.get("cursor")
    matching = _conditions(request)
    words, key = query.get("q") or None, query.get("key_id") or None
    if words is not None and len(words) > LONGEST:
        raise InvalidInput(f"`q` is at most {LONGEST} characters.")

    if _choice(request, "view", View) != "rows":
        if words is not None or key is not None:
            raise InvalidInput("`q` and `key_id` list rows.", hint="Add view=rows.")
        page = await runs.list(caller(request.scope), limit=limit, cursor=cursor, **matching)
        return JsonReply({"items": [run_record(run) for run in page.items], "next_cursor": page.next_cursor})

    if words is None and key is None:
        return _rows(await runs.rows(caller(request.scope), limit=limit, cursor=cursor, **matching))
    return _rows(
        await runs.search(caller(request.scope), words=words, key=key, limit=limit, cursor=cursor, **matching)
    )


class QueryBody(Body):
    """A query. `limit`: rows at the most."""

    sql: str = Field(max_length=20_000)
    limit: int = Field(default=200, ge=1, le=1000)


class QueryReply(QueryResult):
    """Rows of a query, or without one the `views` and their columns."""

    views: str | None = None


async def query_runs(request: Request) -> Response:
    """Run a SELECT over the views of the caller's runs."""
    body, queries = await read_body(request, QueryBody), runtime(request.scope).queries
    if not body.sql.strip():
        return JsonReply(QueryReply(columns=[], rows=[], views=queries.describe()))
    return JsonReply(await queries.query(caller(request.scope), body.sql, limit=body.limit))


def _rows(page: RunPage) -> Response:
    searched = page.searched
    return JsonReply(
        {
            "items": [run_row(listed) for listed in page.items],
            "next_cursor": page.next_cursor,
            "searched": searched
            and {"runs": searched.runs, "until": timestamp(searched.until), "whole": searched.whole},
        }
    )


def _conditions(request: Request) -> RunConditions:
    query = request.query_params
    return {
        "service_id": query.get("service_id"),
        "status": _choice(request, "status", RunStatus),
        "mode": cast("ExecutionMode | None", _choice(request, "mode", ExecutionMode)),
        "version": query_int(request, "version", low=1, high=2**31 - 1),
        "trigger": cast("RunTrigger | None", _choice(request, "trigger", RunTrigger)),
        "since": _moment(query.get("since"), "since"),
        "until": _moment(query.get("until"), "until"),
    }


def _choice(request: Request, name: str, choices: Any) -> str | None:
    """One of the words of a `Literal`; None without a choice. Raises InvalidInput."""
    found = request.query_params.get(name)
    if found is not None and found not in get_args(choices):
        raise InvalidInput(f"`{name}` must be one of {', '.join(get_args(choices))}.")
    return found


def _moment(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    return parse_moment(text, name, datetime.now(UTC))


def _reply() -> dict[str, object]:
    page = page_of({"anyOf": [RECORD, {"$ref": "#/components/schemas/RunRow"}]})
    page["properties"]["searched"] = {
        "type": ["object", "null"],
        "description": "How far a search has looked: so many runs, back to this time; `whole` where there are no older ones.",
        "properties": {
            "runs": {"type": "integer"}, "until": {"type": ["string", "null"]}, "whole": {"type": "boolean"},
        },
    }  # fmt: skip
    return page


OPERATIONS = [
    HttpOperation(
        "GET", "/runs", "List runs, newest first", list_runs, tag="runs",
        description="Records, or with `view=rows` the little that a list shows. A search (`q`, `key_id`) looks through a "
        "bounded number of runs, says in `searched` how far it came, and goes on from there with `next_cursor`; a page of it "
        "may be empty.",
        reply=_reply(),
        parameters=(
            Parameter("service_id", "Only of this workflow.", {"type": "string"}),
            Parameter("status", "Only with this status.", {"type": "string", "enum": list(get_args(RunStatus))}),
            Parameter(
                "mode", "Only dry runs, runs that apply one, or replays. Without it all but replays.",
                {"type": "string", "enum": list(get_args(ExecutionMode))},
            ),
            Parameter("version", "Only of this version.", whole_number(1, 2**31 - 1)),
            Parameter(
                "trigger", "Only those that a schedule, another run, or a caller started.",
                {"type": "string", "enum": list(get_args(RunTrigger))},
            ),
            Parameter("since", "Only those made at this time or later: a time, or an age like 24h.", {"type": "string"}),
            Parameter("until", "Only those made before this time, or age.", {"type": "string"}),
            Parameter(
                "view", "`rows` leaves out answers, attempts and steps, and adds the workflow's name, what started the run, "
                "and its first arguments.", {"type": "string", "enum": list(get_args(View)), "default": "records"},
            ),
            Parameter(
                "q", "Only with this text in their path or input, as far as that is kept. Rows.",
                {"type": "string", "maxLength": LONGEST},
            ),
            Parameter("key_id", "Only of the caller with this key. Rows.", {"type": "string"}),
            Parameter("limit", "At most so many, 1 to 100.", whole_number(1, 100, default=20)),
            Parameter("cursor", "`next_cursor` of the page before.", {"type": "string"}),
        ),
    ),
    HttpOperation(
        "POST", "/runs/query", "Query runs by SQL", query_runs, tag="runs", body=QueryBody, reply=QueryReply,
        description="One SELECT in SQLite's dialect over the views `runs`, `calls`, `model_calls` and `triggers`, which hold the "
        "caller's own rows. It ends after 5 s. An empty `sql` answers with the columns of the views.",
    ),
]  # fmt: skip
