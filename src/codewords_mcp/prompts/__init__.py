"""Prompts: jobs that a person starts by name."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

from codewords_mcp.mcp_server.context import ServerState
from codewords_mcp.prompts import add_integration, build_workflow, debug_run, port_script, review_workflow
from codewords_mcp.runtime.auth.access_table import TABLE

MODULES = (build_workflow, debug_run, port_script, add_integration, review_workflow)


def add_prompts(server: MCPServer[ServerState]) -> None:
    """Register every prompt. Raises LookupError for one without a row in the access table."""
    for module in MODULES:
        # At registration, as for resources: none may exist without an access rule.
        TABLE.get("prompt", module.PROMPT.__name__)
        server.prompt(title=module.TITLE)(module.PROMPT)
