"""`cancel_run`: end a run that waits or goes on."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult

from codewords_mcp.mcp_server.context import DoorContext, asking
from codewords_mcp.mcp_server.run_format import RunResult, RunView
from codewords_mcp.mcp_server.tool import DESTROYS, tool
from codewords_mcp.tools._arguments import RunId
from codewords_mcp.tools._runs import answer_run


async def cancel_run(ctx: DoorContext, run_id: RunId) -> Annotated[CallToolResult, RunResult]:
    """Cancel a run and what it started."""
    runtime, caller = asking(ctx)
    return answer_run(RunView(await runtime.cancel_run(caller, run_id)))


TOOL = tool(cancel_run, title="Cancel run", hints=DESTROYS)
