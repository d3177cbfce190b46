"""`add_trigger`: let something start a workflow."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field

from codewords_mcp.mcp_server.confirmation import no_question
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool import ADDS, tool, tool_result
from codewords_mcp.runtime.model.trigger import TriggerRequest
from codewords_mcp.tools._arguments import WorkflowId
from codewords_mcp.tools._triggers import (
    TriggerItem,
    TriggerSampleItem,
    sample_item,
    sample_lines,
    trigger_item,
    trigger_line,
)


class AddedTriggerItem(TriggerItem):
    """A new trigger, with the newest item of its source, and why the workflow refuses it."""

    sample: TriggerSampleItem | None = None
    misfit: str | None = None


async def add_trigger(
    ctx: ToolContext,
    workflow_id: WorkflowId,
    kind: Annotated[str, Field(description="schedule, plain (webhook), feed, url, run_ended …")],
    options: Annotated[
        dict[str, Any],
        Field(
            description="schedule: cron or at, timezone (ask the user), input, dry_run. Others: see list_triggers"
        ),
    ] = {},  # noqa: B006  # never changed
    path: str = "/",
    interval_s: float | None = None,
) -> Annotated[CallToolResult, AddedTriggerItem]:
    """Let times, webhooks, feeds or other events start a workflow, also while this chat is closed."""
    runtime, caller = runtime_and_caller(ctx)
    request = TriggerRequest(
        kind=kind, service_id=workflow_id, options=options, path=path, interval_s=interval_s
    )
    added = await runtime.triggers.add(caller, request)

    item, misfit = trigger_item(added.trigger), added.misfit
    lines = [
        trigger_line(added.trigger),
        *item.forecast,
        *(sample_lines(added.sample) if added.sample is not None else []),
        *(
            [f"The workflow would refuse this item: {misfit}. Let its input be what the items are."]
            if misfit
            else []
        ),
        *([f"The runtime: {item.availability}"] if item.availability else []),
    ]
    sample = sample_item(added.sample) if added.sample is not None else None
    return tool_result(AddedTriggerItem(**item.model_dump(), sample=sample, misfit=misfit), "\n".join(lines))


TOOL = tool(add_trigger, title="Add trigger", hints=ADDS, confirm=no_question)
