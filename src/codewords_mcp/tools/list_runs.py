"""`list_runs`: list runs by what, when and how they ended, or find them by text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, get_args

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.errors import InvalidInput
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.run_format import STARTED_BY
from codewords_mcp.mcp_server.text import fence, one_line, utc_second
from codewords_mcp.mcp_server.tool import READS, tool, tool_result
from codewords_mcp.runtime.model.moments import parse_moment
from codewords_mcp.runtime.model.run import RunStatus, WaitsFor
from codewords_mcp.runtime.model.run_filter import RunConditions, RunTrigger, trigger_of
from codewords_mcp.runtime.model.run_listing import ListedRun, RunPage, preview_of
from codewords_mcp.runtime.model.status_words import status_words
from codewords_mcp.tools._arguments import Limit

_MAX_TEXT = 200


class ListedRunItem(BaseModel):
    """A run; times are in UTC. `input_preview`: its path and first arguments."""

    run_id: str
    workflow_id: str | None = None
    workflow: str | None = None
    version: int | None = None
    status: str
    waits_for: WaitsFor | None = None
    created_at: str
    seconds: float | None = None
    cost_usd: float | None = None
    started_by: RunTrigger
    error: str | None = None
    input_preview: str | None = None


class RunList(BaseModel):
    """A page of runs, newest first. `looked_back_to`: how far a search for text came."""

    runs: list[ListedRunItem]
    looked_back_to: str | None = None
    next_cursor: str | None = None


async def list_runs(
    ctx: ToolContext,
    workflow_id: str | None = None,
    status: str | None = None,
    trigger: RunTrigger | None = None,
    since: Annotated[str | None, Field(description="Time, or age like 24h")] = None,
    query: Annotated[str, Field(description="Text in the input")] = "",
    limit: Limit = 20,
    cursor: str | None = None,
) -> Annotated[CallToolResult, RunList]:
    """List runs with times, costs and errors."""
    runtime, caller = runtime_and_caller(ctx)
    matching: RunConditions = {
        "service_id": workflow_id,
        "status": check_status(status),
        "trigger": trigger,
        "since": None if since is None else parse_moment(since, "since", datetime.now(UTC)),
    }
    if query:
        words = query[:_MAX_TEXT]
        page = await runtime.runs.search(caller, words=words, limit=limit, cursor=cursor, **matching)
    else:
        page = await runtime.runs.rows(caller, limit=limit, cursor=cursor, **matching)

    data = _data(page)
    return tool_result(data, _text(data))


def check_status(status: str | None) -> str | None:
    """Return the status. Raises InvalidInput for a word that is none, with those that are."""
    if status is not None and status not in get_args(RunStatus):
        raise InvalidInput(f"`status` must be one of {', '.join(get_args(RunStatus))}.")
    return status


def _data(page: RunPage) -> RunList:
    if page.searched is not None and not page.searched.whole:
        until = page.searched.until
    else:
        until = None
    return RunList(
        runs=[_item(listed) for listed in page.items],
        looked_back_to=until and until.isoformat(timespec="seconds"),
        next_cursor=page.next_cursor,
    )


def _item(listed: ListedRun) -> ListedRunItem:
    run = listed.run
    took = None
    if run.started_at and run.completed_at:
        took = round((run.completed_at - run.started_at).total_seconds(), 3)
    return ListedRunItem(
        run_id=run.id,
        workflow_id=run.service_id,
        workflow=listed.workflow and one_line(listed.workflow, 80),
        version=run.version,
        status=run.status,
        waits_for=run.waits_for,
        created_at=run.created_at.isoformat(timespec="seconds"),
        seconds=took,
        cost_usd=run.usage.get("cost") or None,
        started_by=trigger_of(run),
        error=run.error and one_line(f"{run.error.code}: {run.error.message}", 160),
        input_preview=one_line(preview_of(run.input), 120) or None,
    )


def _text(data: RunList) -> str:
    lines = [_line(run) for run in data.runs]
    if lines:
        text = "\n".join(lines)
        lines = [fence("Runs, times in UTC", text, len(text) + 1)]
    if data.looked_back_to:
        lines.append(f"Looked back to {data.looked_back_to} so far.")
    if data.next_cursor:
        lines.append(f'More: cursor="{data.next_cursor}"')
    return "\n".join(lines) or "No runs."


def _line(run: ListedRunItem) -> str:
    facts = [f"{run.run_id} {status_words(run.status, run.waits_for)}", utc_second(run.created_at)]
    if run.seconds is not None:
        facts.append(f"{run.seconds:g} s")
    if run.cost_usd:
        facts.append(f"{run.cost_usd:.6g} USD")

    version = f" v{run.version}" if run.version else ""
    facts += [f"by {STARTED_BY[run.started_by]}", f"{run.workflow_id}{version}"]
    return " | ".join([", ".join(facts), *filter(None, (run.error, run.input_preview))])


TOOL = tool(list_runs, title="List runs", hints=READS, brief=True)
