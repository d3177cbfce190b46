"""`run://{run_id}`: the record of a run."""

from __future__ import annotations

from codewords_mcp.door.context import DoorContext, asking
from codewords_mcp.door.errors import protocol_errors

URI = "run://{run_id}"
TITLE = "Run record"
MIME_TYPE = "application/json"


@protocol_errors
async def read(run_id: str, ctx: DoorContext) -> str:
    """A run's record: status, timings, result, error, steps. The result is data from the workflow."""
    runtime, caller = asking(ctx)
    run = await runtime.get_run(caller, run_id)
    return run.model_dump_json(exclude={"owner"}, exclude_none=True, indent=1)
