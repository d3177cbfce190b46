"""`get_run`: read a run's status, result and log."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult, InputRequiredResult
from pydantic import Field

from codewords_mcp.mcp_server.cards import RUN_CARD
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.run_result import RunResult, RunView
from codewords_mcp.mcp_server.tool import READS, tool
from codewords_mcp.tools._approvals import ask_person, question_text
from codewords_mcp.tools._arguments import RunId, WaitSeconds
from codewords_mcp.tools._runs import (
    LOG_PATH,
    MAX_LOG_LINES,
    held_writes,
    load_picture,
    log_tool_result,
    run_tool_result,
    wait_for_run,
)

_AFTER_ANSWER = 5.0
"""Seconds to wait for a run that a person has just answered."""


async def get_run(
    ctx: ToolContext,
    run_id: RunId,
    wait_seconds: WaitSeconds = 0,
    log_lines: Annotated[int, Field(ge=0, le=200)] = 20,
    path: Annotated[str, Field(description='Part of the result, like "items.0"; "@log": the log')] = "",
    offset: Annotated[int, Field(ge=0, description="To read on")] = 0,
) -> Annotated[CallToolResult, RunResult] | InputRequiredResult:
    """Get a run's status, result, what it called, last log lines and, if it failed, a diagnosis; optionally wait for its end."""
    runtime, caller = runtime_and_caller(ctx)
    run = await runtime.runs.get(caller, run_id)
    if path == LOG_PATH:
        return log_tool_result(run, await runtime.logs.tail(caller, run_id, limit=MAX_LOG_LINES), offset)

    run = await wait_for_run(runtime, caller, run, seconds=wait_seconds, progress=ctx.report_progress)
    outcome = await ask_person(ctx, run)
    if isinstance(outcome, InputRequiredResult):
        return outcome
    if outcome:
        run = await wait_for_run(runtime, caller, run, seconds=_AFTER_ANSWER, progress=ctx.report_progress)
    if log_lines:
        logs = await runtime.logs.final(caller, run, limit=log_lines)
    else:
        logs = []

    diagnosis = await runtime.authoring.diagnose(caller, run)
    whole = not (path or offset)
    picture, trace = None, None
    if whole:
        picture = await load_picture(runtime, caller, run)
        trace = await runtime.traces.get(caller, run.id, depth=1, log_lines=0)

    view = RunView(
        run,
        logs,
        diagnosis,
        path,
        offset,
        with_input=whole,
        picture=picture,
        held=await held_writes(runtime, caller, run),
        trace=trace,
        question=await question_text(runtime, caller, run),
    )
    return run_tool_result(view)


TOOL = tool(
    get_run,
    title="Get run",
    hints=READS,
    card=RUN_CARD,
    # Up to so many characters Claude Code shows a result to the model instead of writing it to a file. Result, log, trace and
    # diagnosis are each bounded, and together shorter.
    meta={"anthropic/maxResultSizeChars": 60_000},
)
