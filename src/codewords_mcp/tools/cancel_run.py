"""`cancel_run`: cancel a queued or running run."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.run_result import RunResult, RunView
from codewords_mcp.mcp_server.tool import DESTROYS, tool
from codewords_mcp.tools._arguments import RunId
from codewords_mcp.tools._runs import run_tool_result


async def cancel_run(ctx: ToolContext, run_id: RunId) -> Annotated[CallToolResult, RunResult]:
    """Cancel a run and what it started."""
    runtime, caller = runtime_and_caller(ctx)
    return run_tool_result(RunView(await runtime.runs.cancel(caller, run_id)))


TOOL = tool(cancel_run, title="Cancel run", hints=DESTROYS)
