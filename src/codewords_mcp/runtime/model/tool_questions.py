"""Consent questions about tools of MCP servers. What a server says is quoted as its own word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from codewords_mcp.runtime.model.call_questions import of_call
from codewords_mcp.runtime.model.mcp import AgreedTool, tool_differences
from codewords_mcp.runtime.model.plain_text import item, quoted
from codewords_mcp.runtime.model.questions import Question, with_remarks


def of_tool_call(owner: str, tool: AgreedTool, arguments: Mapping[str, Any]) -> Question:
    """Ask for one call of a tool, with exactly these arguments and the tool as it is described now."""
    now = tool.now
    name = f"{tool.server.app}/{now.name if now else ''}"
    remarks = [("server", [item(tool.server.url)])]
    if now is not None:
        remarks.append(("its own word", [_claim(tool)]))
        if now.description:
            remarks.append(("says it does", [quoted(now.description)]))
        changes = tool_differences(tool.agreed, now)
        if changes:
            remarks.append(("changed since you agreed", changes))
    return with_remarks(of_call(owner, name, arguments, None), remarks, now.digest if now else "")


def _claim(tool: AgreedTool) -> str:
    if tool.now is not None and tool.now.reads:
        return "the server says that this only reads; nobody has checked that"
    if tool.now is not None and tool.now.destroys:
        return "the server does not say that this only reads, nor that it destroys nothing"
    return "the server says that this writes and destroys nothing; nobody has checked that"
