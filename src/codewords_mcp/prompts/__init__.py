"""Prompts: the two jobs a person starts by name."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

from codewords_mcp.door.context import Door


def add_prompts(server: MCPServer[Door]) -> None:
    """Register every prompt."""
    from codewords_mcp.prompts import build_workflow, debug_run

    for module in (build_workflow, debug_run):
        server.prompt(title=module.TITLE)(module.PROMPT)
