"""Shared parts of the integration tools: arguments, and formatting of actions and fields."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, Field

from codewords_mcp.errors import InvalidInput
from codewords_mcp.mcp_server.text import one_line
from codewords_mcp.runtime.model.integration import Hit, Prop

App = Annotated[str, Field(description="Like google_sheets")]
ActionKey = Annotated[str, Field(description="Key from search_integrations")]
Props = dict[str, Any]
_MAX_OPTIONS = 12


class ActionItem(BaseModel):
    """An action in a list; `name` only if the key does not contain it."""

    key: str
    app: str
    writes: bool
    name: str | None = None


def action_item(hit: Hit) -> ActionItem:
    """Make the structured form of an action."""
    name = one_line(hit.name, 60)
    is_in_key = hit.key.endswith("-".join(name.lower().split()))
    return ActionItem(
        key=one_line(hit.key, 120),
        app=one_line(hit.app, 80),
        writes=hit.writes,
        name=None if is_in_key else name,
    )


def is_server(app: str) -> bool:
    """Whether an app is an MCP server."""
    return app.startswith("mcp_")


def workflow_line(app: str, variable: str) -> str:
    """Say how a workflow uses a connected app; an MCP server has no variable."""
    if variable:
        return f'A workflow declares it with "{variable}" in env_vars.'
    return f'In a workflow: client.run("mcp", {{"server": "{app.removeprefix("mcp_")}", "tool": …, "arguments": {{…}}}})'


def refuse_integrations(workflow_id: str) -> None:
    """Raise InvalidInput for a direct call of `pipedream` or `mcp`: these services ask no person for consent."""
    service = workflow_id.strip("/ ").partition("/")[0]
    if service in {"pipedream", "mcp"}:
        raise InvalidInput(
            f"The service {service} is for workflows.",
            hint="call_integration does the same, and asks the user first.",
        )


def action_line(action: ActionItem) -> str:
    """Format an action as a line."""
    how = "writes" if action.writes else "reads"
    return f"- {action.app}: {action.key} ({how}) {action.name or ''}".rstrip()


def field_line(prop: Prop) -> str:
    """Format a field as a line: name, type, default, options, dependencies."""
    facts = [prop.type]
    if prop.required:
        facts.append("needed")
    if prop.default is not None:
        facts.append(f"default {one_line(json.dumps(prop.default, ensure_ascii=False), 40)}")
    if prop.options:
        more = ", …" if len(prop.options) > _MAX_OPTIONS else ""
        facts.append("one of " + one_line(", ".join(map(str, prop.options[:_MAX_OPTIONS])), 160) + more)

    if prop.remote:
        facts.append("values: give `prop`")
    if prop.reloads:
        facts.append("more fields follow: give `props`")
    if prop.label.lower() != prop.name.lower():
        label = prop.label
    else:
        label = ""

    about = one_line(prop.description or label, 90)
    return f"- {one_line(prop.name, 80)} ({'; '.join(facts)}) {about}".rstrip()
