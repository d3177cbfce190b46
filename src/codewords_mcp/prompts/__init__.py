"""Prompts: the jobs a person starts by name."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

from codewords_mcp.door.context import Door


def add_prompts(server: MCPServer[Door]) -> None:
    """Register every prompt."""
    from codewords_mcp.prompts import add_integration, build_workflow, debug_run, port_script, review_workflow

    for module in (build_workflow, debug_run, port_script, add_integration, review_workflow):
        server.prompt(title=module.TITLE)(module.PROMPT)
