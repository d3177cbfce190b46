"""Resources: workflows, runs and their logs by address, a list of recent ones, and completion of their ids."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

from codewords_mcp.door.context import Door


def add_resources(server: MCPServer[Door]) -> None:
    """Register every resource template."""
    from codewords_mcp.resources import practices, run, run_logs, services, workflow

    for module in (workflow, run, run_logs, services, practices):
        server.resource(module.URI, title=module.TITLE, mime_type=module.MIME_TYPE)(module.read)
