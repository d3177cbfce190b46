"""`list_templates`: list templates for workflows, and show their code."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.errors import NotFound
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.text import clean_json, compact, fence, one_line
from codewords_mcp.mcp_server.tool import READS, tool, tool_result
from codewords_mcp.runtime.model.authoring import Template

_BEST = 5


class TemplateItem(BaseModel):
    """A template. `missing`: secrets that the template or its services need and that are not set."""

    id: str
    title: str | None = None
    description: str | None = None
    category: str | None = None
    services: list[str] = []
    missing: list[str] = []
    code: str | None = None
    example_input: dict[str, Any] | None = None


class TemplateList(BaseModel):
    """Templates by id."""

    templates: list[TemplateItem]


async def list_templates(
    ctx: ToolContext,
    template_id: Annotated[str | None, Field(description="Give one for its code and example input")] = None,
    query: Annotated[str, Field(description="What it should do; the best first")] = "",
    category: str = "",
) -> Annotated[CallToolResult, TemplateList]:
    """List workflow templates to start from. Read the nearest one's code before writing your own."""
    runtime, caller = runtime_and_caller(ctx)
    templates = await runtime.templates.list(
        caller, query=query if template_id is None else "", category=category if template_id is None else ""
    )
    if template_id is not None:
        return _with_code(_find_template(templates, template_id))
    if query or category:
        return _template_list(templates[:_BEST] if query else templates)
    return _all(templates)


def _template_list(templates: list[Template]) -> CallToolResult:
    """Make a result of templates with their descriptions."""
    items = [
        TemplateItem(
            id=t.id,
            description=one_line(t.description, 200),
            category=t.category or None,
            missing=t.missing,
        )
        for t in templates
    ]
    lines = "\n".join(map(_line, items))

    if lines:
        text = fence("Templates", lines, len(lines) + 1)
    else:
        text = ""

    return tool_result(
        TemplateList(templates=items), text or "No template fits; call it without query and category."
    )


def _all(templates: list[Template]) -> CallToolResult:
    """In short: names by category."""
    names: dict[str, list[str]] = {}
    for template in templates:
        names.setdefault(template.category, []).append(template.id)
    items = [
        TemplateItem(id=t.id, title=one_line(t.title, 80), category=t.category or None) for t in templates
    ]
    lines = [f"{category}: {', '.join(ids)}" for category, ids in names.items()]
    lines.append(
        "Next: list_templates(query=…) for what fits, or list_templates(template_id=…) for its code."
    )

    return tool_result(TemplateList(templates=items), "\n".join(lines))


def _line(item: TemplateItem) -> str:
    if item.missing:
        lacks = f" Lacks {', '.join(item.missing)}."
    else:
        lacks = ""
    return f"{item.id} [{item.category}]: {item.description}{lacks}"


def _find_template(templates: list[Template], template_id: str) -> Template:
    for template in templates:
        if template.id == template_id:
            return template
    raise NotFound("There is no template of that id.", hint="list_templates() lists them.")


def _with_code(template: Template) -> CallToolResult:
    item = TemplateItem.model_validate(clean_json(template.model_dump(mode="json", exclude={"needs"})))
    facts = f"{item.title}. Example input: {compact(template.example_input)}\n{template.code}"
    text = f"{item.id}\n{fence('Template', facts, len(facts) + 1)}"
    return tool_result(TemplateList(templates=[item]), text)


TOOL = tool(list_templates, title="List templates", hints=READS, brief=True)
