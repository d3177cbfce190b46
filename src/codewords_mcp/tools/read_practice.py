"""`read_practice`: read the practices for workflows by topic, and the library services."""

from __future__ import annotations

from typing import Annotated, Literal

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.service_format import service_page, services_page
from codewords_mcp.mcp_server.tool import READS, tool, tool_result

Topic = Literal[
    "batching",
    "concurrency",
    "cost",
    "errors",
    "header",
    "logging",
    "secrets",
    "services",
    "state",
    "structure",
    "structured_output",
]
_SERVICES = "services"


class Practice(BaseModel):
    """Markdown with code that runs, or library services with their inputs."""

    text: str


async def read_practice(
    ctx: ToolContext,
    topic: Topic,
    service: Annotated[str | None, Field(description="Of services: all of this one")] = None,
) -> Annotated[CallToolResult, Practice]:
    """Read a short page on doing one thing right in a workflow; services: the library services it can call."""
    runtime, caller = runtime_and_caller(ctx)
    if service is not None:
        return _page(service_page(await runtime.services.get(caller, service)))
    if topic == _SERVICES:
        return _page(services_page(await runtime.services.list(caller)))
    return _page(runtime.authoring.practice(topic))


def _page(text: str) -> CallToolResult:
    return tool_result(Practice(text=text), text)


TOOL = tool(read_practice, title="Read practice", hints=READS, brief=True)
