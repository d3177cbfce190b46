"""`change_trigger`: pause, resume, test, change or delete a trigger."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.errors import InvalidInput
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool import DESTROYS, tool, tool_result
from codewords_mcp.runtime.model import plain_text as plain
from codewords_mcp.runtime.model.trigger import TriggerChanges, TriggerTest
from codewords_mcp.tools._publishing import published_name
from codewords_mcp.tools._triggers import (
    TriggerItem,
    TriggerSampleItem,
    sample_item,
    sample_lines,
    trigger_item,
    trigger_line,
)


class ChangedTrigger(BaseModel):
    """The changed trigger, absent if it was deleted; the `sample` of a test."""

    trigger_id: str
    trigger: TriggerItem | None = None
    sample: TriggerSampleItem | None = None


async def change_trigger(
    ctx: ToolContext,
    trigger_id: str,
    action: Annotated[
        Literal["pause", "resume", "test", "edit", "delete"],
        Field(description="test shows the newest event; edit sets options"),
    ],
    options: dict[str, Any] | None = None,
) -> Annotated[CallToolResult, ChangedTrigger]:
    """Pause, resume, test, edit or delete a trigger. Its runs stay."""
    runtime, caller = runtime_and_caller(ctx)
    triggers = runtime.triggers
    if (published := published_name(trigger_id)) is not None:
        if action != "delete":
            raise InvalidInput("A published tool can only be deleted.", hint="Its workflow stays.")
        await runtime.published.remove(caller, published)
        return tool_result(
            ChangedTrigger(trigger_id=trigger_id), "It is no tool any more; its workflow stays."
        )

    if action == "delete":
        await triggers.remove(caller, trigger_id)
        return tool_result(ChangedTrigger(trigger_id=trigger_id), "It is deleted.")

    if action == "test":
        trigger = await triggers.get(caller, trigger_id)
        if trigger.webhook is not None:
            raise InvalidInput("A webhook is tested by run_workflow with its id as `test_trigger`.")
        sample = await triggers.test(caller, trigger_id, TriggerTest())
        return tool_result(
            ChangedTrigger(trigger_id=trigger_id, sample=sample_item(sample)),
            "\n".join(sample_lines(sample)) or "It runs without input.",
        )

    if action == "edit":
        if options is None:
            raise InvalidInput("`edit` needs `options`.", hint="list_triggers shows those that are set.")
        changed = await triggers.change(caller, trigger_id, TriggerChanges(options=options))
    elif action == "pause":
        changed = await triggers.pause(caller, trigger_id)
    else:
        changed = await triggers.resume(caller, trigger_id)
    data = ChangedTrigger(trigger_id=changed.id, trigger=trigger_item(changed))
    return tool_result(data, trigger_line(changed))


async def _question(_: ToolContext, arguments: dict[str, Any]) -> str | None:
    if arguments["action"] != "delete":
        return None
    return (
        f"Delete the trigger {plain.item(arguments['trigger_id'], 60)}? "
        "Its workflow will not be started by it any more."
    )


TOOL = tool(change_trigger, title="Change trigger", hints=DESTROYS, confirm=_question)
