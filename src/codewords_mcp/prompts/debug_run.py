"""`debug_run`: why a run went wrong, with its record and log at hand."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from codewords_mcp.door.context import DoorContext, asking
from codewords_mcp.door.errors import protocol_errors
from codewords_mcp.door.text import fence
from codewords_mcp.runtime.models import Run

TITLE = "Debug a run"

_LOG_LINES = 100
_RECORD_SHOWN = 6_000
_LOG_SHOWN = 16_000


@protocol_errors
async def debug_run(
    run_id: Annotated[str, Field(description="The run to look into")], ctx: DoorContext
) -> str:
    """Find out why a run failed and fix its workflow."""
    runtime, caller = asking(ctx)
    run = await runtime.get_run(caller, run_id)
    log = "\n".join(
        f"{line.stream}: {line.message}" for line in await runtime.tail(caller, run_id, limit=_LOG_LINES)
    )
    record = run.model_dump_json(exclude={"owner"}, exclude_none=True)
    advice = (
        f'Say the cause in one sentence. If it is in the code: edit_workflow(workflow_id="{run.service_id}", edits=[…]) '
        "with as little as needed, deploy_workflow(draft_id=…), "
        "then run_workflow with the same input. If a secret or an input is missing, tell the user which."
    )
    return "\n\n".join(
        [
            f"Look into run {run.id} of workflow {run.service_id}: it is {run.status}. {_where_to_look(run)}",
            fence("Record", record, _RECORD_SHOWN),
            fence(f"Last {_LOG_LINES} log lines", log or "(empty)", _LOG_SHOWN),
            advice,
        ]
    )


def _where_to_look(run: Run) -> str:
    if run.error is None:
        return "No error was recorded; compare the result with what was expected."
    if run.error.origin == "platform":
        return "The runtime, not the workflow, reported the error: follow its hint first."
    return "The workflow itself failed: the log's last lines tell where."


PROMPT = debug_run
