"""`debug_run`: why a run went wrong, with all that get_run tells of it, and how to go on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from codewords_mcp.mcp_server.context import DoorContext, asking
from codewords_mcp.mcp_server.errors import protocol_errors
from codewords_mcp.mcp_server.run_format import RunView, last_lines, run_result, run_words
from codewords_mcp.mcp_server.skills import skill

TITLE = "Debug a run"

_LOG_LINES = 100


@protocol_errors
async def debug_run(
    run_id: Annotated[str, Field(description="The run to look into")], ctx: DoorContext
) -> str:
    """Find out why a run failed and fix its workflow."""
    runtime, caller = asking(ctx)
    run = await runtime.get_run(caller, run_id)
    logs = await last_lines(runtime, caller, run, _LOG_LINES)
    told = run_words(run_result(RunView(run, logs, await runtime.diagnose(caller, run))))
    return f"Look into run {run.id} of workflow {run.service_id}.\n\n{told}\n\n{skill('debug-run').body}"


PROMPT = debug_run
