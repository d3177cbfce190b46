"""`read_practice`: read the practices for workflows, by topic."""

from __future__ import annotations

from typing import Annotated, Literal

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool import READS, tool, tool_result

Topic = Literal[
    "batching",
    "concurrency",
    "cost",
    "errors",
    "logging",
    "secrets",
    "state",
    "structure",
    "structured_output",
]


class Practice(BaseModel):
    """Markdown with code that runs."""

    text: str


async def read_practice(ctx: ToolContext, topic: Topic) -> Annotated[CallToolResult, Practice]:
    """Read a short page with code on doing one thing right in a workflow."""
    runtime, _ = runtime_and_caller(ctx)
    text = runtime.authoring.practice(topic)
    return tool_result(Practice(text=text), text)


TOOL = tool(read_practice, title="Read practice", hints=READS)
