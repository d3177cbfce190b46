"""The tools, one file each.

They call the runtime API, nothing below it, and never catch: `mcp_server.tool` is the boundary.
"""

from __future__ import annotations

from importlib import import_module

from codewords_mcp.mcp_server.tool import McpTool
from codewords_mcp.runtime.auth.access_table import TABLE


def all_tools() -> list[McpTool]:
    """Return all tools in the order of the access table: `NAME.TOOL` of each of its rows."""
    return [import_module(f"{__name__}.{rule.name}").TOOL for rule in TABLE if rule.kind == "tool"]
