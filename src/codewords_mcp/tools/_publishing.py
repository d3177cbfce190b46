"""Workflows that are published as tools, as a kind of trigger: a chat starts them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from codewords_mcp.errors import InvalidInput
from codewords_mcp.mcp_server.text import one_line
from codewords_mcp.runtime.model.plain_text import item, quoted
from codewords_mcp.runtime.model.publishing import PublishedTool
from codewords_mcp.tools._triggers import TriggerItem

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime
    from codewords_mcp.runtime.model.caller import Caller

KIND = "tool"
_PREFIX = "tool:"
_OPTIONS = ("name",)
KIND_LINE = f"{KIND}: a chat, where the workflow is a tool of its own. Options: name."


async def publish(
    runtime: Runtime, caller: Caller, workflow_id: str, options: dict[str, Any], path: str
) -> PublishedTool:
    """Publish a workflow as a tool. The person has agreed: see `publish_question`. Raises InvalidInput, NotFound."""
    # The default of the argument names no route: without one, the only route of a workflow is
    # found as well.
    return await runtime.published.add(
        caller, workflow_id, tool=_name_option(options), path=None if path == "/" else path
    )


async def publish_question(
    runtime: Runtime, caller: Caller, workflow_id: str, options: dict[str, Any]
) -> str:
    """Ask whether a workflow becomes a tool of all chats. Raises InvalidInput, NotFound."""
    name = _name_option(options)
    found = await runtime.workflows.get(caller, workflow_id)
    called = f" as {item(name, 60)}" if name else ""
    return (
        f"Publish the workflow {quoted(found.name, 80)} ({found.service_id}) as a tool{called}? Each of your chats then "
        "lists it with its description, and may run it."
    )


def _name_option(options: dict[str, Any]) -> str | None:
    if unknown := [name for name in options if name not in _OPTIONS]:
        raise InvalidInput(
            f"A tool has no option {item(unknown[0], 40)}.", hint=f"It has {', '.join(_OPTIONS)}."
        )
    name = options.get("name")
    if name is not None and not isinstance(name, str):
        raise InvalidInput("`name` is a text: the tool's name.")
    return name


async def listed_tools(runtime: Runtime, caller: Caller, workflow_id: str | None) -> list[PublishedTool]:
    """List the published tools of one workflow, or of all. A run sees none."""
    if caller.kind == "run":
        return []
    return [one for one in await runtime.published.list(caller) if workflow_id in {None, one.workflow_id}]


def published_name(trigger_id: str) -> str | None:
    """Return the name of the published tool that an id of a trigger stands for; None for another trigger."""
    if trigger_id.startswith(_PREFIX):
        return trigger_id.removeprefix(_PREFIX)
    return None


def published_item(published: PublishedTool) -> TriggerItem:
    """Make the structured form of a published tool."""
    return TriggerItem(
        trigger_id=f"{_PREFIX}{published.tool}",
        kind=KIND,
        workflow_id=published.workflow_id,
        name=one_line(published.title, 80) or None,
        state="active",
        options={"name": published.tool},
    )


def published_line(published: PublishedTool) -> str:
    """Format a published tool as a line."""
    return (
        f"{_PREFIX}{published.tool}: a tool of your chats runs {published.workflow_id} by {published.method.upper()} "
        f"{json.dumps(one_line(published.path, 80))}"
    )
