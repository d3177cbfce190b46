"""`debug_run`: find out why a run failed, with its status, log and diagnosis included."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.errors import protocol_errors
from codewords_mcp.mcp_server.run_format import format_run
from codewords_mcp.mcp_server.run_result import RunView, run_result
from codewords_mcp.mcp_server.skills import skill

TITLE = "Debug a run"

_LOG_LINES = 100


@protocol_errors
async def debug_run(
    run_id: Annotated[str, Field(description="The run to look into")], ctx: ToolContext
) -> str:
    """Find out why a run failed and fix its workflow."""
    runtime, caller = runtime_and_caller(ctx)
    run = await runtime.runs.get(caller, run_id)
    logs = await runtime.logs.final(caller, run, limit=_LOG_LINES)
    run_text = format_run(run_result(RunView(run, logs, await runtime.authoring.diagnose(caller, run))))
    return f"Look into run {run.id} of workflow {run.service_id}.\n\n{run_text}\n\n{skill('debug-run').body}"


PROMPT = debug_run
