"""`practices://{topic}`: the practices for workflows."""

from __future__ import annotations

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.errors import protocol_errors

URI = "practices://{topic}"
TITLE = "Practice"
MIME_TYPE = "text/markdown"


@protocol_errors
async def read(topic: str, ctx: ToolContext) -> str:
    """A short page with code that runs, such as practices://errors."""
    runtime, _ = runtime_and_caller(ctx)
    return runtime.authoring.practice(topic)
