"""`get_run`: a run's state, result and log."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from codewords_mcp.mcp_server.context import DoorContext, asking
from codewords_mcp.mcp_server.run_format import RunResult, RunView, last_lines
from codewords_mcp.mcp_server.tool import READS, tool
from codewords_mcp.tools._arguments import RunId, WaitSeconds
from codewords_mcp.tools._runs import LOG, LOG_READ, answer_log, answer_run, follow, load_picture


async def get_run(
    ctx: DoorContext,
    run_id: RunId,
    wait_seconds: WaitSeconds = 0,
    log_lines: Annotated[int, Field(ge=0, le=200)] = 20,
    path: Annotated[str, Field(description='Part of the result, like "items.0"; "@log": the log')] = "",
    offset: Annotated[int, Field(ge=0, description="To read on")] = 0,
) -> Annotated[CallToolResult, RunResult]:
    """Get a run's status, timings, result, last log lines and, if it failed, a diagnosis; optionally wait for its end."""
    runtime, caller = asking(ctx)
    run = await runtime.get_run(caller, run_id)
    if path == LOG:
        return answer_log(run, await runtime.tail(caller, run_id, limit=LOG_READ), offset)

    run = await follow(runtime, caller, run, seconds=wait_seconds, progress=ctx.report_progress)
    if log_lines:
        logs = await last_lines(runtime, caller, run, log_lines)
    else:
        logs = []

    why = await runtime.diagnose(caller, run)
    whole = not (path or offset)
    if whole:
        picture = await load_picture(runtime, caller, run)
    else:
        picture = None

    return answer_run(RunView(run, logs, why, path, offset, with_input=whole, picture=picture))


TOOL = tool(get_run, title="Get run", hints=READS)
