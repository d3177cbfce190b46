"""`add_trigger`: let something start a workflow."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool import ADDS, tool, tool_result
from codewords_mcp.runtime.model.trigger import TriggerRequest
from codewords_mcp.tools._arguments import WorkflowId
from codewords_mcp.tools._publishing import KIND, publish, publish_question, published_item, published_line
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
    kind: Annotated[
        str, Field(description="schedule, plain (webhook), feed, url, run_ended, tool (of chats) …")
    ],
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
    if kind == KIND:
        published = await publish(runtime, caller, workflow_id, options, path)
        text = f"{published_line(published)}. Chats that list tools anew have it: {published.tool}(…)."
        return tool_result(AddedTriggerItem(**published_item(published).model_dump()), text)

    request = TriggerRequest(
        kind=kind, service_id=workflow_id, options=options, path=path, interval_s=interval_s
    )
    added = await runtime.triggers.add(caller, request)

    item, misfit = trigger_item(added.trigger), added.misfit
    lines = [trigger_line(added.trigger), *item.forecast]
    sample = None
    if added.sample is not None:
        sample = sample_item(added.sample)
        lines += sample_lines(added.sample)
    if misfit:
        lines.append(f"The workflow would refuse this item: {misfit}. Let its input be what the items are.")
    if item.availability:
        lines.append(f"The runtime: {item.availability}")

    return tool_result(AddedTriggerItem(**item.model_dump(), sample=sample, misfit=misfit), "\n".join(lines))


async def _question(ctx: ToolContext, arguments: dict[str, Any]) -> str | None:
    # The runtime asks for the others where it has to.
    if arguments["kind"] != KIND:
        return None
    runtime, caller = runtime_and_caller(ctx)
    return await publish_question(runtime, caller, arguments["workflow_id"], arguments.get("options") or {})


TOOL = tool(add_trigger, title="Add trigger", hints=ADDS, confirm=_question)
