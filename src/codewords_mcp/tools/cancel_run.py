"""`cancel_run`: end a run that waits or goes on."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult

from codewords_mcp.door.context import DoorContext, asking
from codewords_mcp.door.runs import RunResult, RunView
from codewords_mcp.tools._arguments import RunId
from codewords_mcp.tools._runs import answer_run
from codewords_mcp.tools._tool import DESTROYS, tool


async def cancel_run(ctx: DoorContext, run_id: RunId) -> Annotated[CallToolResult, RunResult]:
    """Cancel a run and what it started."""
    runtime, caller = asking(ctx)
    return answer_run(RunView(await runtime.cancel_run(caller, run_id)))


TOOL = tool(cancel_run, title="Cancel run", hints=DESTROYS)
