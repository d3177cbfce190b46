"""`list_templates`: where writing a workflow starts."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.door.context import DoorContext, asking
from codewords_mcp.door.text import one_line
from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.models import Template
from codewords_mcp.tools._tool import READS, answer, tool


class TemplateItem(BaseModel):
    """A template; code and example input for the one asked for."""

    id: str
    title: str
    description: str
    code: str | None = None
    example_input: dict[str, Any] | None = None


class TemplateList(BaseModel):
    """Templates by id."""

    templates: list[TemplateItem]


async def list_templates(
    ctx: DoorContext,
    template_id: Annotated[str | None, Field(description="Give one for its code and example input")] = None,
) -> Annotated[CallToolResult, TemplateList]:
    """List workflow templates to start from. Read the nearest one's code before writing your own."""
    runtime, _ = asking(ctx)
    templates = sorted(await runtime.list_templates(), key=lambda template: template.id)
    if template_id is None:
        items = [TemplateItem(id=t.id, title=t.title, description=t.description) for t in templates]
        text = "\n".join(f"{t.id}: {t.title}. {one_line(t.description, 160)}" for t in items)
        return answer(TemplateList(templates=items), text or "There are no templates.")
    return _with_code(_the_one(templates, template_id))


def _the_one(templates: list[Template], template_id: str) -> Template:
    for template in templates:
        if template.id == template_id:
            return template
    raise NotFound("There is no template of that id.", hint="list_templates() lists them.")


def _with_code(template: Template) -> CallToolResult:
    item = TemplateItem.model_validate(template.model_dump())
    text = (
        f"{item.id}: {item.title}. Example input: {template.example_input}\n```python\n{template.code}\n```"
    )
    return answer(TemplateList(templates=[item]), text)


TOOL = tool(list_templates, title="List templates", hints=READS, toolset="workflows")
