"""Prompts: jobs that a person starts by name."""

from __future__ import annotations

from functools import cache

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts import Prompt

from codewords_mcp.mcp_server.context import ServerState
from codewords_mcp.prompts import add_integration, build_workflow, debug_run, port_script, review_workflow
from codewords_mcp.runtime.auth.access_table import TABLE

MODULES = (build_workflow, debug_run, port_script, add_integration, review_workflow)


def add_prompts(server: MCPServer[ServerState]) -> None:
    """Register every prompt. Raises LookupError for one without a row in the access table."""
    for module in MODULES:
        # At registration, as for resources: none may exist without an access rule.
        TABLE.get("prompt", module.PROMPT.__name__)

    for prompt in _prompts():
        server.add_prompt(prompt)


@cache
def _prompts() -> tuple[Prompt, ...]:
    """Every prompt, made once: the SDK builds a model of each one's arguments, and each connection in process is a server."""
    return tuple(Prompt.from_function(module.PROMPT, title=module.TITLE) for module in MODULES)
