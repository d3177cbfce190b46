"""`practices://{topic}`: how something is done right in a workflow."""

from __future__ import annotations

from codewords_mcp.mcp_server.context import DoorContext, asking
from codewords_mcp.mcp_server.errors import protocol_errors

URI = "practices://{topic}"
TITLE = "Practice"
MIME_TYPE = "text/markdown"


@protocol_errors
async def read(topic: str, ctx: DoorContext) -> str:
    """A short page with code that runs, such as practices://errors."""
    runtime, _ = asking(ctx)
    return runtime.practice(topic)
