"""Resources: workflows, runs and their logs by URI, a list of recent ones, and completion of ids."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

from codewords_mcp.mcp_server.context import ServerState
from codewords_mcp.resources import practices, run, run_logs, services, workflow
from codewords_mcp.runtime.auth.access_table import TABLE

MODULES = (workflow, run, run_logs, services, practices)


def add_resources(server: MCPServer[ServerState]) -> None:
    """Register every resource template. Raises LookupError for one without a row in the access table."""
    for module in MODULES:
        # At registration: a resource without an access rule must not start, not fail when read.
        TABLE.get("resource", module.URI)
        server.resource(module.URI, title=module.TITLE, mime_type=module.MIME_TYPE)(module.read)
