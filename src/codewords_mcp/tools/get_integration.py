"""`get_integration`: list an app's actions, an action's fields, or the values that a field takes."""

from __future__ import annotations

import json
from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.text import clean_json, cut, fence, one_line
from codewords_mcp.mcp_server.tool import READS_OUTSIDE, tool, tool_result
from codewords_mcp.runtime.model.integration import Action, Detail, Option, Prop, variable_of
from codewords_mcp.tools._integrations import (
    ActionItem,
    App,
    action_item,
    action_line,
    field_line,
    is_server,
)

_MAX_ACTIONS = 20
_MAX_FIELDS = 30
_MAX_OPTIONS = 30
_MAX_SHOWN = 3_000
_MAX_DESCRIPTION = 2_000


class Integration(BaseModel):
    """The requested part of an app; dynamic fields are included for the given props."""

    app: str
    env_var: str
    actions: list[ActionItem] = []
    total: int | None = None
    action: str | None = None
    writes: bool | None = None
    fields: list[Prop] = []
    options: list[Option] = []
    note: str | None = None


async def get_integration(
    ctx: ToolContext,
    app: App,
    action: str | None = None,
    query: Annotated[str, Field(description="Narrows actions or values")] = "",
    prop: Annotated[str | None, Field(description="List the values this field takes")] = None,
    props: Annotated[
        dict[str, Any] | None, Field(description="Fields set so far; others may depend on them")
    ] = None,
) -> Annotated[CallToolResult, Integration]:
    """Show an app's actions, or one action's fields and types."""
    runtime, caller = runtime_and_caller(ctx)
    if action is None:
        found = await runtime.integrations.list_actions(caller, app, query=query, limit=_MAX_ACTIONS)
    else:
        found = await runtime.integrations.get_action(
            caller, app, action, prop=prop or "", props=props, query=query
        )

    data = Integration(
        app=one_line(found.app, 80),
        env_var="" if is_server(found.app) else one_line(variable_of(found.app), 120),
        actions=list(map(action_item, found.actions)),
        total=found.total or None,
        action=one_line(found.action.key, 120) if found.action else None,
        writes=found.action.writes if found.action else None,
        fields=list(map(_clean_field, found.action.fields[:_MAX_FIELDS])) if found.action else [],
        options=[
            Option.model_validate(clean_json(option.model_dump())) for option in found.options[:_MAX_OPTIONS]
        ],
        note=found.note or None,
    )
    return tool_result(data, "\n".join(_lines(found, data)))


def _lines(found: Detail, data: Integration) -> list[str]:
    if found.action is not None:
        return _action_lines(found.action)

    if found.options:
        listed = "\n".join(
            f"{option.label} = {json.dumps(option.value, ensure_ascii=False)}" for option in data.options
        )
        lines = [fence("Values", listed, _MAX_SHOWN)]
        if len(found.options) > _MAX_OPTIONS:
            lines.append(f"{len(found.options) - _MAX_OPTIONS} more: narrow them with query.")
        return lines

    listed = "\n".join(map(action_line, data.actions))
    if listed:
        lines = [fence("Actions", listed, _MAX_SHOWN)]
    else:
        lines = []

    if found.total > len(found.actions):
        lines.append(f"{found.total - len(found.actions)} more: narrow them with query.")
    if data.note:
        lines.append(data.note)
    return lines


def _action_lines(action: Action) -> list[str]:
    fields = action.fields
    listed = "\n".join(field_line(prop) for prop in fields[:_MAX_FIELDS])
    if action.writes:
        how = "changes something, so the user is asked"
    else:
        how = "reads"

    described = ""
    if action.backend == "mcp":
        described = f"The server says: {cut(action.description, _MAX_DESCRIPTION)}\n"
    key = one_line(action.key, 160)
    text = f"{key} ({how})\n{described}{listed[:_MAX_SHOWN]}\n{_workflow_call(action)}"
    lines = [fence("Action", text, _MAX_SHOWN + 3_000)]
    if len(fields) > _MAX_FIELDS:
        lines.append(f"{len(fields) - _MAX_FIELDS} more fields.")
    return lines


def _workflow_call(action: Action) -> str:
    app, key, variable = (one_line(text, 120) for text in (action.app, action.key, variable_of(action.app)))
    if action.backend == "mcp":
        server, tool = app.removeprefix("mcp_"), key.removeprefix(f"{app}/")
        return f'In a workflow: client.run("mcp", inputs={{"server": "{server}", "tool": "{tool}", "arguments": {{…}}}}).'
    return (
        f'In a workflow: client.run("pipedream", inputs={{"app": "{app}", "action": "{key}", "props": {{…}}}}) '
        f'with "{variable}" in env_vars.'
    )


def _clean_field(prop: Prop) -> Prop:
    return Prop.model_validate(clean_json(prop.model_dump(mode="json")))


TOOL = tool(get_integration, title="Show integration", hints=READS_OUTSIDE)
